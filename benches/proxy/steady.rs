//! Clients of our own, one blocking thread a connection: they time each request to the nanosecond,
//! and can send by a schedule that does not wait for answers.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::median::Median;

/// A connection kept open.
#[derive(Debug)]
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    line: String,
    body: Vec<u8>,
}

/// Latencies in microseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

// === impl Client ===

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self, String> {
        let stream = TcpStream::connect(address).and_then(|stream| {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(30)))?;
            Ok(stream)
        });
        let stream = stream.map_err(|error| format!("{address}: {error}"))?;
        Ok(Self {
            stream: BufReader::new(stream),
            line: String::new(),
            body: Vec::new(),
        })
    }

    /// Sends a request whole and reads its answer, which must be 200 with a known length.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("a request failed: {error}");
        self.stream.get_mut().write_all(request).map_err(failed)?;
        let (mut length, mut first) = (None, true);
        loop {
            self.line.clear();
            self.stream.read_line(&mut self.line).map_err(failed)?;
            let line = self.line.trim_end();
            if std::mem::take(&mut first) && !line.starts_with("HTTP/1.1 200") {
                return Err(format!("a request was answered with {line:?}"));
            }
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok();
            }
        }
        let length = length.ok_or("an answer has no content-length")?;
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body).map_err(failed)
    }
}

// === impl Latency ===

impl Latency {
    /// Of nanoseconds.
    fn of(mut nanoseconds: Vec<u64>) -> Self {
        nanoseconds.sort_unstable();
        let at = |share: f64| {
            let index = (share * nanoseconds.len() as f64) as usize;
            nanoseconds.get(index).map_or(f64::NAN, |n| *n as f64 / 1e3)
        };
        Self {
            p50: at(0.5),
            p99: at(0.99),
        }
    }
}

/// The requests that post these bodies.
pub(crate) fn requests(bodies: &[String]) -> Vec<Vec<u8>> {
    let request = |body: &String| {
        let head = "POST /predict HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n";
        format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    };
    bodies.iter().map(request).collect()
}

/// One connection, each request as soon as the one before is answered.
pub(crate) fn alone(
    address: SocketAddr,
    requests: &[Vec<u8>],
    duration: Duration,
) -> Result<Latency, String> {
    let mut client = Client::connect(address)?;
    let mut taken = Vec::new();
    let begun = Instant::now();
    for request in requests.iter().cycle() {
        let sent = Instant::now();
        if sent - begun > duration {
            break;
        }
        client.exchange(request)?;
        taken.push(nanoseconds(sent.elapsed()));
    }
    Ok(Latency::of(taken))
}

/// So many requests a second, by a schedule over `connections`, timed from when each was due: what
/// is sent late because an answer was late counts as late. Each includes how long the system takes
/// to wake a sleeping thread, the same for every contestant.
pub(crate) fn steadily(
    address: SocketAddr,
    requests: &[Vec<u8>],
    (rate, connections): (f64, usize),
    duration: Duration,
) -> Result<Latency, String> {
    let clients = (0..connections).map(|_| Client::connect(address));
    let clients: Vec<Client> = clients.collect::<Result<_, _>>()?;
    let all = (rate * duration.as_secs_f64()) as usize;
    let begin = Instant::now() + Duration::from_millis(20);
    let taken = std::thread::scope(|scope| {
        let threads: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(number, mut client)| {
                scope.spawn(move || {
                    let mut taken = Vec::with_capacity(all / connections + 1);
                    for index in (number..all).step_by(connections) {
                        let due = begin + Duration::from_secs_f64(index as f64 / rate);
                        std::thread::sleep(due.saturating_duration_since(Instant::now()));
                        client.exchange(&requests[index % requests.len()])?;
                        taken.push(nanoseconds(due.elapsed()));
                    }
                    Ok(taken)
                })
            })
            .collect();
        let joined = threads.into_iter().map(|thread| {
            let taken = thread.join();
            taken.unwrap_or_else(|_| Err("a client panicked".to_owned()))
        });
        joined.collect::<Result<Vec<_>, String>>()
    })?;
    Ok(Latency::of(taken.concat()))
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The medians of rounds, for a table.
pub(crate) fn medians(rounds: &[Latency]) -> [Median; 2] {
    [
        Median::of(rounds.iter().map(|round| round.p50)),
        Median::of(rounds.iter().map(|round| round.p99)),
    ]
}
