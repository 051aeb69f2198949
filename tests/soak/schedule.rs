//! What is to happen, drawn from a seed.

use std::fmt;
use std::time::Duration;

use cf_service_tokens_simulator::Operation;
use fastrand::Rng;

use crate::every_call::{CALLS, Call};

/// What one client does, and what it meets.
pub struct Schedule {
    pub seed: u64,
    /// How many tokens there are at first.
    pub tokens: usize,
    /// How likely a call is to meet a fault.
    pub faults: f64,
    /// The rate limit that the simulator enforces, a minute.
    pub quota: Option<u32>,
    pub scheme: Scheme,
    pub attempts: u32,
    pub deadline: Duration,
    /// How many steps go on at the same time.
    pub abreast: usize,
    /// Whether all that the client and what lies below it trace is looked into.
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
        /// Which of the tokens that are there at first; create takes none.
        token: usize,
        /// Whether the caller goes away, and when: after the call was polled so often.
        abandoned: Option<u32>,
    },
    /// Connections are reset, and refused from now on.
    GoOffline,
    ComeBack,
    /// Others send so many requests with the same credentials.
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

/// What a step calls a token that it creates or updates.
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
