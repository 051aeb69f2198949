//! Parsing and printing durations, beside every other crate that reads Go's.
//!
//! The mix is a thousand durations in random order, so that a processor can't
//! learn the branches; `BENCH_MIX` names a file to leave it in, for Go. `BENCH_SEED` is the
//! seed of the order in which the contenders take turns.

use std::hint::black_box;
use std::time::Duration;

use cf_service_tokens::GoDuration;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use fastrand::Rng;

const INPUTS: [&str; 5] = ["2h45m", "8760h", "300ms", "1h2m3.456789s", "1500us"];

/// The same thousand durations each time.
fn mix() -> Vec<String> {
    let mut random = Rng::with_seed(7);
    (0..1000)
        .map(|_| match random.u8(0..8) {
            0 => format!("{}h", random.u32(1..90_000)),
            1 => format!("{}h{}m", random.u32(1..100), random.u32(0..60)),
            2 => format!("{}m{}s", random.u32(1..60), random.u32(0..60)),
            3 => format!("{}ms", random.u32(1..1000)),
            4 => format!("{}us", random.u32(1..100_000)),
            5 => format!("{}.{:03}s", random.u32(0..60), random.u32(1..1000)),
            6 => format!(
                "{}h{}m{}.{:06}s",
                random.u32(1..24),
                random.u32(0..60),
                random.u32(0..60),
                random.u32(1..1_000_000)
            ),
            _ => format!("{}s", random.u32(1..100_000)),
        })
        .collect()
}

/// A way to read a duration; `None` if it is refused.
type Parse = fn(&str) -> Option<i128>;

const PARSERS: [(&str, Parse); 5] = [
    ("cf-service-tokens", |text| {
        text.parse().ok().map(|d: GoDuration| d.as_nanos().into())
    }),
    ("gostd_time", |text| {
        gostd_time::ParseDuration(text)
            .ok()
            .map(|d| d.Nanoseconds().into())
    }),
    ("go-parse-duration", |text| {
        go_parse_duration::parse_duration(text).ok().map(i128::from)
    }),
    ("humantime", |text| {
        humantime::parse_duration(text)
            .ok()
            .and_then(|d| d.as_nanos().try_into().ok())
    }),
    ("jiff", |text| {
        text.parse()
            .ok()
            .map(|d: jiff::SignedDuration| d.as_nanos())
    }),
];

/// Returns the contenders in the order of the seed.
fn shuffled<T, const N: usize>(random: &mut Rng, mut contenders: [T; N]) -> [T; N] {
    random.shuffle(&mut contenders);
    contenders
}

fn order() -> Rng {
    let seed = std::env::var("BENCH_SEED").ok();
    Rng::with_seed(seed.and_then(|seed| seed.parse().ok()).unwrap_or(0))
}

fn parse(criterion: &mut Criterion) {
    let mut order = order();
    let mix = mix();
    let mut cases: Vec<(&str, Vec<&str>)> = INPUTS.map(|text| (text, vec![text])).into();
    cases.push(("mix", mix.iter().map(String::as_str).collect()));
    for (case, texts) in cases {
        let mut group = criterion.benchmark_group("parse");
        for (name, parse) in shuffled(&mut order, PARSERS) {
            let agrees = texts.iter().all(|text| parse(text) == PARSERS[0].1(text));
            if !agrees {
                println!("parse/{name}/{case}: it reads something else, or nothing");
                continue;
            }
            // Each closure of its own type, so that what can be inlined is.
            macro_rules! measure {
                ($parse:expr) => {
                    group.bench_function(BenchmarkId::new(name, case), |bencher| {
                        bencher.iter(|| {
                            for text in &texts {
                                let _ = black_box($parse(black_box(*text)));
                            }
                        });
                    })
                };
            }
            match name {
                "cf-service-tokens" => measure!(|text: &str| text.parse::<GoDuration>()),
                "gostd_time" => measure!(|text| gostd_time::ParseDuration(text).map(drop)),
                "go-parse-duration" => measure!(go_parse_duration::parse_duration),
                "humantime" => measure!(humantime::parse_duration),
                _ => measure!(|text: &str| text.parse::<jiff::SignedDuration>()),
            };
        }
        group.finish();
    }
}

fn print(criterion: &mut Criterion) {
    let mut order = order();
    let mix = mix();
    let mut cases: Vec<(&str, Vec<&str>)> = INPUTS.map(|text| (text, vec![text])).into();
    cases.push(("mix", mix.iter().map(String::as_str).collect()));
    for (case, texts) in cases {
        let durations: Vec<GoDuration> = texts.iter().flat_map(|text| text.parse()).collect();
        let delays: Vec<Duration> = durations
            .iter()
            .flat_map(|duration| Duration::try_from(*duration))
            .collect();
        let mut group = criterion.benchmark_group("print");
        for name in shuffled(&mut order, ["cf-service-tokens", "humantime"]) {
            let id = BenchmarkId::new(name, case);
            match name {
                "humantime" => group.bench_function(id, |bencher| {
                    bencher.iter(|| {
                        for delay in &delays {
                            let text = humantime::format_duration(black_box(*delay)).to_string();
                            black_box(text);
                        }
                    });
                }),
                _ => group.bench_function(id, |bencher| {
                    bencher.iter(|| {
                        for duration in &durations {
                            black_box(black_box(*duration).to_string());
                        }
                    });
                }),
            };
        }
        group.finish();
    }
}

fn leave_the_mix(_: &mut Criterion) {
    if let Some(path) = std::env::var_os("BENCH_MIX")
        && let Err(error) = std::fs::write(&path, mix().join("\n"))
    {
        println!("{}: {error}", path.display());
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(150))
        .measurement_time(Duration::from_millis(400));
    targets = leave_the_mix, parse, print
}
criterion_main!(benches);
