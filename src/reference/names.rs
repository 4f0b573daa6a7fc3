//! Names are compared by their words: `PassengerId`, `passenger-id` and `passenger_id` are one.

/// The words of a name in lower case, joined by `_`.
pub(super) fn words(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    let characters: Vec<char> = name.chars().collect();
    for (at, c) in characters.iter().enumerate() {
        if !c.is_alphanumeric() {
            if !words.ends_with('_') {
                words.push('_');
            }
            continue;
        }
        let before = at.checked_sub(1).map(|at| characters[at]);
        let after = characters.get(at + 1);
        let begins = c.is_uppercase()
            && before.is_some_and(|b| {
                b.is_lowercase() || (b.is_uppercase() && after.is_some_and(|a| a.is_lowercase()))
            });
        if begins && !words.ends_with('_') {
            words.push('_');
        }
        words.extend(c.to_lowercase());
    }
    words.trim_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_by_their_words() {
        for (name, expected) in [
            ("PassengerId", "passenger_id"),
            ("customerID", "customer_id"),
            ("IDNumber", "id_number"),
            ("created-at", "created_at"),
            (" sepal length (cm) ", "sepal_length_cm"),
            ("Unnamed: 0", "unnamed_0"),
            ("ID", "id"),
            ("x1", "x1"),
            ("größeInCm", "größe_in_cm"),
            ("__", ""),
        ] {
            assert_eq!(words(name), expected, "{name}");
        }
    }
}
