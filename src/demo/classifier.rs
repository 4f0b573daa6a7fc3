//! Gaussian naive Bayes on Fisher's iris data: the model the demo serves.

use std::fmt::Write as _;

/// Names of the four measurements, in the file's order.
pub(super) const FEATURES: [&str; 4] =
    ["sepal_length", "sepal_width", "petal_length", "petal_width"];

/// A measured flower.
pub(super) type Flower = [f64; 4];

/// One species as the classifier knows it.
#[derive(Debug, Clone)]
struct Species {
    name: String,
    mean: Flower,
    variance: Flower,
    flowers: f64,
}

/// The trained model.
#[derive(Debug, Clone)]
pub(super) struct Classifier {
    species: Vec<Species>,
    training: Vec<(Flower, String)>,
}

/// Reads the flowers of `reference_data/iris.csv` with their species.
pub(super) fn flowers(csv: &str) -> Vec<(Flower, String)> {
    let parse = |line: &str| {
        let cells: Vec<&str> = line.trim().split(',').collect();
        let [a, b, c, d, species] = cells[..] else {
            return None;
        };
        let number = |cell: &str| cell.parse::<f64>().ok();
        Some((
            [number(a)?, number(b)?, number(c)?, number(d)?],
            species.to_owned(),
        ))
    };
    csv.lines().skip(1).filter_map(parse).collect()
}

impl Classifier {
    /// Trains on the file's flowers: mean and variance of each measurement in each species.
    pub(super) fn train(csv: &str) -> Self {
        let training = flowers(csv);
        let mut names: Vec<String> = training
            .iter()
            .map(|(_, species)| species.clone())
            .collect();
        names.sort();
        names.dedup();
        let species = (names.into_iter())
            .map(|name| {
                let own: Vec<Flower> = (training.iter())
                    .filter(|(_, species)| *species == name)
                    .map(|(flower, _)| *flower)
                    .collect();
                let n = own.len() as f64;
                let mean: Flower =
                    std::array::from_fn(|i| own.iter().map(|f| f[i]).sum::<f64>() / n);
                let variance = std::array::from_fn(|i| {
                    own.iter().map(|f| (f[i] - mean[i]).powi(2)).sum::<f64>() / n
                });
                Species {
                    name,
                    mean,
                    variance,
                    flowers: n,
                }
            })
            .collect();
        Self { species, training }
    }

    /// The likeliest species: the largest log prior plus log normal densities.
    pub(super) fn predict(&self, flower: &Flower) -> &str {
        let score = |species: &Species| {
            let density = |i: usize| {
                let (mean, variance): (f64, f64) = (species.mean[i], species.variance[i]);
                -0.5 * ((flower[i] - mean).powi(2) / variance + variance.ln())
            };
            species.flowers.ln() + (0..4).map(density).sum::<f64>()
        };
        let best = self
            .species
            .iter()
            .max_by(|a, b| score(a).total_cmp(&score(b)));
        best.map_or("", |species| species.name.as_str())
    }

    /// Share of the training flowers it recognises.
    pub(super) fn accuracy(&self) -> f64 {
        let right = self
            .training
            .iter()
            .filter(|(flower, species)| self.predict(flower) == species);
        right.count() as f64 / self.training.len() as f64
    }

    /// The reference: the real flowers with what this model answers to each, as CSV.
    pub(super) fn reference(&self) -> String {
        let mut csv = format!("{},species,prediction\n", FEATURES.join(","));
        for (flower, species) in &self.training {
            let cells = flower.map(|cell| cell.to_string()).join(",");
            let _ = writeln!(csv, "{cells},{species},{}", self.predict(flower));
        }
        csv
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_its_flowers() {
        let classifier = Classifier::train(super::super::IRIS);
        assert_eq!(classifier.training.len(), 150);
        // sklearn.naive_bayes.GaussianNB().fit(X, y).score(X, y) → 0.96
        assert!(
            (classifier.accuracy() - 0.96).abs() < 1e-12,
            "{}",
            classifier.accuracy()
        );
    }
}
