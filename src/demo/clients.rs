//! The demo's clients: real flowers, one at a time and in batches, until the sensor slips.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;

use super::classifier::{Flower, flowers};
use super::story::{Clock, SLIP_BY, SLIPPED};

/// Between requests: forty a second.
const PAUSE: Duration = Duration::from_millis(25);
/// Every so many requests is a batch …
const BATCH_EVERY: u64 = 4;
/// … of this many flowers.
const BATCH: usize = 5;

/// Sends flowers drawn from the real data until aborted.
pub(super) async fn send(proxy: SocketAddr, csv: &str, clock: Clock) {
    let garden: Vec<Flower> = flowers(csv).into_iter().map(|(flower, _)| flower).collect();
    let mut dice = Dice(0x5EED);
    let mut connection = None;
    for turn in 0u64.. {
        let draw = |dice: &mut Dice| {
            let mut flower = garden[dice.below(garden.len())];
            if clock.slipped() {
                flower[SLIPPED] = ((flower[SLIPPED] + SLIP_BY) * 10.0).round() / 10.0;
            }
            flower
        };
        let body = if turn % BATCH_EVERY == 0 {
            let batch: Vec<Flower> = (0..BATCH).map(|_| draw(&mut dice)).collect();
            json!({ "features": batch })
        } else {
            json!({ "features": draw(&mut dice) })
        };
        connection = post(connection.take(), proxy, body.to_string()).await;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Sends one request over a kept connection, or a fresh one; returns the connection if it is still
/// good.
async fn post(
    kept: Option<SendRequest<Full<Bytes>>>,
    proxy: SocketAddr,
    body: String,
) -> Option<SendRequest<Full<Bytes>>> {
    let mut connection = match kept {
        Some(connection) if !connection.is_closed() => connection,
        _ => {
            let stream = TcpStream::connect(proxy).await.ok()?;
            let (connection, driver) = http1::handshake(TokioIo::new(stream)).await.ok()?;
            tokio::task::spawn(async move { drop(driver.await) });
            connection
        }
    };
    let request = Request::post("/predict")
        .header(HOST, proxy.to_string())
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .ok()?;
    connection.ready().await.ok()?;
    let response = connection.send_request(request).await.ok()?;
    response.into_body().collect().await.ok()?;
    Some(connection)
}

/// A small generator with a fixed seed: the same flowers in every demo.
struct Dice(u64);

impl Dice {
    /// xorshift64*, Vigna 2016.
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        bits as usize % limit
    }
}
