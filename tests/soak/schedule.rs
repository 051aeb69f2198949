//! A schedule, drawn from a seed.

use std::fmt;
use std::time::Duration;

use cf_service_tokens_simulator::Operation;
use fastrand::Rng;

use crate::every_call::{CALLS, Call};

/// The calls of a client, and the faults that they meet.
pub struct Schedule {
    pub seed: u64,
    /// The number of tokens at the start.
    pub tokens: usize,
    /// The probability that a call meets a fault.
    pub faults: f64,
    /// The rate limit per minute that the simulator enforces.
    pub quota: Option<u32>,
    pub scheme: Scheme,
    pub attempts: u32,
    pub deadline: Duration,
    /// The number of concurrent steps.
    pub abreast: usize,
    /// Whether the traces of the client and its dependencies are checked for secrets.
    pub is_traced: bool,
    pub steps: Vec<Step>,
}

/// How the client authenticates.
#[derive(Clone, Copy, Debug)]
pub enum Scheme {
    ApiToken,
    GlobalKey,
}

#[derive(Clone, Copy, Debug)]
pub enum Step {
    Call {
        call: Call,
        /// The index of a token at the start; ignored by create.
        token: usize,
        /// The number of polls after which the caller drops the call, if it does.
        abandoned: Option<u32>,
    },
    /// Connections are reset, and refused from now on.
    GoOffline,
    ComeBack,
    /// Other programs send this many requests with the same credentials.
    Spend(u32),
    Pass(Duration),
}

impl Schedule {
    pub fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let mut schedule = Self {
            seed,
            tokens: random.usize(1..=12),
            faults: pick(&mut random, &[0.0, 0.1, 0.3, 0.3, 0.6, 1.0]),
            quota: random.bool().then(|| random.u32(5..60)),
            scheme: pick(&mut random, &[Scheme::ApiToken, Scheme::GlobalKey]),
            attempts: pick(&mut random, &[1, 2, 3, 5, 10]),
            deadline: Duration::from_secs(pick(&mut random, &[2, 120, 120, 600])),
            abreast: random.usize(1..=16),
            is_traced: random.u8(..32) == 0,
            steps: Vec::new(),
        };
        for _ in 0..random.usize(4..=24) {
            let step = schedule.step(&mut random);
            schedule.steps.push(step);
        }
        schedule
    }

    fn step(&self, random: &mut Rng) -> Step {
        match random.u8(..40) {
            0 => Step::GoOffline,
            1 | 2 => Step::ComeBack,
            3 => Step::Spend(random.u32(1..30)),
            4 | 5 => Step::Pass(Duration::from_secs(random.u64(1..400))),
            _ => {
                let call = pick(random, &CALLS);
                Step::Call {
                    call,
                    token: random.usize(..self.tokens),
                    abandoned: (random.u8(..16) == 0).then(|| random.u32(1..30)),
                }
            }
        }
    }
}

fn pick<T: Copy>(random: &mut Rng, choices: &[T]) -> T {
    choices[random.usize(..choices.len())]
}

/// Returns the name of a token that a step creates or updates.
pub fn name(step: usize) -> String {
    format!("named by step {step}")
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}: {} tokens; faults {}, quota {:?}, {:?}, \
             attempts {}, deadline {:?}, {} steps abreast",
            self.seed,
            self.tokens,
            self.faults,
            self.quota,
            self.scheme,
            self.attempts,
            self.deadline,
            self.abreast,
        )?;
        for (number, step) in self.steps.iter().enumerate() {
            writeln!(f, "  step {number}: {step}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call {
                call,
                token,
                abandoned,
            } => {
                write!(f, "{call}")?;
                if !matches!(call.0, Operation::List | Operation::Create) {
                    write!(f, " token {token}")?;
                }
                match abandoned {
                    Some(polls) => write!(f, ", abandoned after {polls} polls"),
                    None => Ok(()),
                }
            }
            Self::GoOffline => f.write_str("the API goes offline"),
            Self::ComeBack => f.write_str("the API comes back"),
            Self::Spend(requests) => write!(f, "others send {requests} requests"),
            Self::Pass(duration) => write!(f, "{duration:?} pass"),
        }
    }
}
