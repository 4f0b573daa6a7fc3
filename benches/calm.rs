//! Calm and quick.

#[path = "calm/baseline.rs"]
mod baseline;
#[path = "calm/engine.rs"]
mod engine;
#[path = "calm/month.rs"]
mod month;
mod streams;

fn main() {
    use streams::Kind;
    let t = std::time::Instant::now();
    for kind in [Kind::Iid, Kind::Daily] {
        month::prove_skipping(kind, 1, 200);
        println!("proved {:?}", t.elapsed());
        let m = month::run(kind, 1, 10_000);
        println!("{} {:?} {m:?}", kind.name(), t.elapsed());
    }
}
