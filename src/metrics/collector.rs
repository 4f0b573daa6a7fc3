//! The custom collector beside OpenTelemetry's: request histograms and the latency summary from the
//! shards, and everything keyed by feature from the report.

use std::sync::Arc;

use arc_swap::ArcSwap;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::catalogue::{
    HTTP_CLIENT_REQUEST_DURATION, HTTP_SERVER_REQUEST_DURATION, REQUEST_LATENCY,
};
use super::drift;
use super::family::{self, Family};
use super::latency::Leg;
use super::scalars::Snapshot;
use super::traffic::Traffic;

/// Quantiles of the latency summary.
const QUANTILES: [f64; 3] = [0.5, 0.95, 0.99];

/// Renders what OpenTelemetry's instruments cannot.
#[derive(Debug)]
pub(super) struct Rendered {
    traffic: Arc<Traffic>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    /// At least one: a collector without any collides with OpenTelemetry's, which has none.
    descriptions: Vec<Arc<Desc>>,
}

impl Rendered {
    pub(super) fn new(
        traffic: Arc<Traffic>,
        snapshot: Arc<ArcSwap<Snapshot>>,
    ) -> Result<Self, prometheus::Error> {
        let own = [
            HTTP_SERVER_REQUEST_DURATION,
            HTTP_CLIENT_REQUEST_DURATION,
            REQUEST_LATENCY,
        ];
        let series = own.iter().chain(&drift::SERIES);
        let descriptions = series.map(family::describe).collect::<Result<_, _>>()?;
        Ok(Self {
            traffic,
            snapshot,
            descriptions,
        })
    }

    fn traffic(&self) -> [MetricFamily; 3] {
        let mut server = Family::new(HTTP_SERVER_REQUEST_DURATION);
        let mut client = Family::new(HTTP_CLIENT_REQUEST_DURATION);
        let mut latency = Family::new(REQUEST_LATENCY);
        for (slot, model) in self.traffic.slots() {
            for (labels, totals) in self.traffic.requests(slot) {
                let (status, error) = (labels.status(), labels.error());
                let values = [model, &labels.route, labels.method, &status, &error];
                server.histogram(&values, &totals.total);
                client.histogram(&values, &totals.upstream);
            }
            for leg in Leg::ALL {
                let merged = self.traffic.latency(slot, leg);
                latency.summary(&[model, leg.as_str()], &merged, &QUANTILES);
            }
        }
        [server, client, latency].map(Family::finish)
    }
}

impl Collector for Rendered {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().map(AsRef::as_ref).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = drift::families(&self.snapshot.load().report);
        families.extend(self.traffic());
        families
    }
}
