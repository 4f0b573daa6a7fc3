//! Streams of simulated traffic, the same in every run on every machine.

use std::f64::consts::TAU;

/// SplitMix64: Steele, Lea and Flood (2014), "Fast splittable pseudorandom number generators".
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: u64,
    spare: Option<f64>,
}

/// How consecutive values of one feature hang together; every kind is standard normal but for the
/// cycle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// Independent rows.
    Iid,
    /// AR(1) with this coefficient.
    Ar(f64),
    /// Independent rows around a mean that goes up and down by half a σ each day.
    Daily,
}

/// Rows of one simulated model.
#[derive(Debug)]
pub(crate) struct Stream {
    kind: Kind,
    random: Random,
    last: Vec<f64>,
    /// Where in the day it begins, in days.
    phase: f64,
}

// === impl Random ===

impl Random {
    /// A generator; equal seeds give equal numbers.
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Self {
            state: seed,
            spare: None,
        };
        // Neighbouring seeds give unrelated states.
        random.state = random.next();
        random
    }

    /// Uniform 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform on the open interval (0, 1).
    pub(crate) fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Standard normal (Box and Muller 1958).
    pub(crate) fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        let (sin, cos) = (TAU * self.uniform()).sin_cos();
        self.spare = Some(radius * sin);
        radius * cos
    }
}

// === impl Kind ===

impl Kind {
    /// The streams of the study.
    pub(crate) const ALL: [Self; 4] = [Self::Iid, Self::Ar(0.5), Self::Ar(0.9), Self::Daily];

    /// What it is called in tables.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Iid => "iid normal".to_owned(),
            Self::Ar(rho) => format!("AR({rho})"),
            Self::Daily => "daily cycle ±.5 σ".to_owned(),
        }
    }

    /// One value of its stationary distribution, as a reference that covers whole days holds it.
    pub(crate) fn stationary(self, random: &mut Random) -> f64 {
        match self {
            Self::Daily => 0.5 * (TAU * random.uniform()).sin() + random.normal(),
            _ => random.normal(),
        }
    }
}

// === impl Stream ===

impl Stream {
    /// A stream of so many features that begins at an hour its seed tells.
    pub(crate) fn new(kind: Kind, features: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let last = (0..features).map(|_| random.normal()).collect();
        let phase = random.uniform();
        Self {
            kind,
            random,
            last,
            phase,
        }
    }

    /// The row at `day`, a time in days since the beginning.
    pub(crate) fn row(&mut self, day: f64) -> &[f64] {
        let Self { random, last, .. } = self;
        match self.kind {
            Kind::Ar(rho) => {
                let noise = (1.0 - rho * rho).sqrt();
                for value in last.iter_mut() {
                    *value = rho * *value + noise * random.normal();
                }
            }
            Kind::Iid => last.iter_mut().for_each(|value| *value = random.normal()),
            Kind::Daily => {
                let mean = 0.5 * (TAU * (day + self.phase)).sin();
                last.iter_mut()
                    .for_each(|value| *value = mean + random.normal());
            }
        }
        &self.last
    }

    /// The priority of the next row.
    pub(crate) fn priority(&mut self) -> u32 {
        (self.random.next() >> 32) as u32
    }
}
