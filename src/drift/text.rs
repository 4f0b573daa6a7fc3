//! Free text in numbers: what describes a text, so that it can be compared like any other number.
//!
//! Four descriptors: length in characters, words, the share of characters that are neither letters
//! nor white space, and the share of words that stand nowhere else in the reference. The last needs
//! no dictionary and knows no language: it is the reference's own vocabulary that counts, the
//! [`VOCABULARY`] words that stand in most texts. A word of the reference counts as unknown in the
//! one row that alone holds it, as it would if that row came as traffic; so reference and current
//! rows are measured alike, and by a profile as by the file it was made from.

use std::collections::HashMap;

use super::numbers::Numbers;

/// The most words a vocabulary keeps: those that stand in most texts. Rarer ones count as unknown,
/// in the reference as in traffic. They cover nearly every running word of any language, and fit
/// a profile at three bytes each.
pub const VOCABULARY: usize = 20_000;

/// The most words counted to find them; text whose words never end is judged by the first ones.
const CANDIDATES: usize = 500_000;

/// What describes a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Descriptor {
    /// Characters (Unicode scalar values, as Python's `len`).
    Length,
    /// Words: runs of letters and digits.
    Words,
    /// Share of characters that are neither letters nor white space, 0 to 1.
    NonLetters,
    /// Share of words that stand in no other text of the reference, 0 to 1.
    UnknownWords,
}

/// A column of texts.
#[derive(Debug, Clone)]
pub struct Texts {
    /// How each descriptor is distributed, in the order of [`Descriptor::ALL`].
    pub(super) described: [Numbers; 4],
    vocabulary: Vocabulary,
}

/// The words of the reference by their hashes. 32 bits take one in 200,000 new words for a known
/// one, which no share of a text can show.
#[derive(Debug, Clone, Default)]
struct Vocabulary {
    /// In how many texts each stands.
    texts: HashMap<u32, u32>,
}

// === impl Descriptor ===

impl Descriptor {
    /// All of them, in the order of a text column's slots.
    pub const ALL: [Self; 4] = [
        Self::Length,
        Self::Words,
        Self::NonLetters,
        Self::UnknownWords,
    ];

    /// What stands behind the column's name and a point.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::Words => "words",
            Self::NonLetters => "non_letters",
            Self::UnknownWords => "unknown_words",
        }
    }
}

// === impl Texts ===

impl Texts {
    /// Describes each of `texts`, `None` for a missing one.
    #[must_use]
    pub fn new<T: AsRef<str>>(texts: &[Option<T>]) -> Self {
        let mut vocabulary = Vocabulary::default();
        for text in texts.iter().flatten() {
            vocabulary.learn(text.as_ref());
        }
        vocabulary.settle();
        let mut columns: [Vec<Option<f64>>; 4] = Default::default();
        for text in texts {
            let described = (text.as_ref()).map(|text| vocabulary.describe(text.as_ref(), 1));
            for (i, column) in columns.iter_mut().enumerate() {
                column.push(described.map(|described| described[i]));
            }
        }
        Self {
            described: columns.map(Numbers::new),
            vocabulary,
        }
    }

    /// Texts of which only this is known: how each descriptor is distributed, in the order of
    /// [`Descriptor::ALL`], and the vocabulary as [`Self::vocabulary`] gives it.
    #[must_use]
    pub fn known(described: [Numbers; 4], vocabulary: impl IntoIterator<Item = u32>) -> Self {
        let texts = vocabulary.into_iter().map(|word| (word, 1)).collect();
        Self {
            described,
            vocabulary: Vocabulary { texts },
        }
    }

    /// How each descriptor is distributed, in the order of [`Descriptor::ALL`].
    #[must_use]
    pub const fn described(&self) -> &[Numbers; 4] {
        &self.described
    }

    /// The hashes of the words that are known, ascending; at most [`VOCABULARY`].
    #[must_use]
    pub fn vocabulary(&self) -> Vec<u32> {
        let mut words: Vec<u32> = self.vocabulary.texts.keys().copied().collect();
        words.sort_unstable();
        words
    }

    /// The four descriptors of a text that is not of the reference.
    #[must_use]
    pub fn describe(&self, text: &str) -> [f64; 4] {
        self.vocabulary.describe(text, 0)
    }

    /// The four descriptors of a text that is of the reference.
    pub(super) fn describe_own(&self, text: &str) -> [f64; 4] {
        self.vocabulary.describe(text, 1)
    }

    /// Texts there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.described[0].len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

// === impl Vocabulary ===

impl Vocabulary {
    fn learn(&mut self, text: &str) {
        let mut own: Vec<u32> = words(text).map(hash).collect();
        own.sort_unstable();
        own.dedup();
        for word in own {
            if self.texts.len() < CANDIDATES || self.texts.contains_key(&word) {
                let texts = self.texts.entry(word).or_default();
                *texts = texts.saturating_add(1);
            }
        }
    }

    /// Keeps the words that stand in most texts; among equals those of the smaller hashes.
    fn settle(&mut self) {
        if self.texts.len() <= VOCABULARY {
            return;
        }
        let rank = |(word, texts): (&u32, &u32)| (std::cmp::Reverse(*texts), *word);
        let mut ranked: Vec<_> = self.texts.iter().map(rank).collect();
        let (_, last, _) = ranked.select_nth_unstable(VOCABULARY - 1);
        let last = *last;
        self.texts
            .retain(|word, texts| (std::cmp::Reverse(*texts), *word) <= last);
    }

    /// Describes a text; its words are known where more than `own` texts hold them.
    fn describe(&self, text: &str, own: u32) -> [f64; 4] {
        let (mut length, mut others) = (0_u32, 0_u32);
        for c in text.chars() {
            length += 1;
            others += u32::from(!c.is_alphabetic() && !c.is_whitespace());
        }
        let (mut count, mut unknown) = (0_u32, 0_u32);
        for word in words(text) {
            count += 1;
            let texts = self.texts.get(&hash(word)).copied().unwrap_or(0);
            unknown += u32::from(texts <= own);
        }
        let share = |part: u32, of: u32| f64::from(part) / f64::from(of.max(1));
        [
            f64::from(length),
            f64::from(count),
            share(others, length),
            share(unknown, count),
        ]
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split(|c: char| !c.is_alphanumeric());
    parts.filter(|word| !word.is_empty())
}

/// FNV-1a over the word's characters, whatever their case, its halves joined by exclusive or; the
/// same on every machine and in every version, for profiles hold it.
fn hash(word: &str) -> u32 {
    let lower = word.chars().flat_map(char::to_lowercase);
    let hash = lower.fold(0xcbf2_9ce4_8422_2325_u64, |hash, c| {
        (hash ^ u64::from(u32::from(c))).wrapping_mul(0x0100_0000_01b3)
    });
    (hash >> 32) as u32 ^ hash as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_described_by_four_numbers() {
        let texts = Texts::new(&[Some("Red wine, dry"), Some("red meat"), Some("Fish"), None]);
        // len("red fish 2!") == 11; words red, fish, 2; "2" and "!" are no letters; 2 is unknown.
        let described = texts.describe("red fish 2!");
        let expected = [11.0, 3.0, 2.0 / 11.0, 1.0 / 3.0];
        for (found, expected) in described.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-15, "{described:?}");
        }
        assert_eq!((texts.len(), texts.described[0].missing()), (3, 1));
    }

    #[test]
    fn a_word_of_one_text_alone_is_unknown_there() {
        let texts = Texts::new(&[Some("red wine"), Some("red meat")]);
        // In each text one of two words stands in no other.
        assert_eq!(texts.described[3].values(), Some(&[0.5, 0.5][..]));
        assert!(texts.describe("wine").iter().last().unwrap().abs() < 1e-15);
    }

    #[test]
    fn the_commonest_words_are_the_vocabulary() {
        let rare = (0..VOCABULARY + 5_000).map(|i| Some(format!("word{i} the")));
        let texts = Texts::new(&rare.collect::<Vec<_>>());
        assert_eq!(texts.vocabulary().len(), VOCABULARY);
        assert!(texts.vocabulary().is_sorted_by(|a, b| a < b));
        // "the" stands in every text, and so in others than its own; no other word does.
        assert!((texts.describe("The")[3]).abs() < 1e-15);
        assert!((texts.described()[3].quantile(0.5).unwrap() - 0.5).abs() < 1e-15);
        let again = Texts::known(texts.described().clone(), texts.vocabulary());
        for text in ["word7 the", "nothing known", "word3 word4 word5"] {
            assert_eq!(
                again.describe(text).map(f64::to_bits),
                texts.describe(text).map(f64::to_bits)
            );
        }
    }

    #[test]
    fn profiles_know_words_by_the_same_hashes_for_good() {
        // python3: FNV-1a 64 over the code points of "wine" and "grösse", halves joined by ^
        assert_eq!([hash("Wine"), hash("GRÖSSE")], [0xf340eea2, 0xd8a76ba0]);
    }

    #[test]
    fn an_empty_text_is_described_too() {
        assert!(
            Texts::new(&[Some("")])
                .describe("")
                .iter()
                .all(|d| d.abs() < 1e-15)
        );
    }
}
