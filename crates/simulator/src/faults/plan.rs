//! Chooses the fault that a call meets, from the script or at random.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::api::Operation;
use crate::faults::Effect;
use crate::faults::Fault;
use crate::faults::injection::Injection;

/// The script, and random faults for the calls that it leaves alone.
#[derive(Default)]
pub(crate) struct FaultPlan {
    script: Vec<Injection>,
    random: Option<RandomFaults>,
}

/// A fault that a call meets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Strike {
    pub(crate) fault: Fault,
    pub(crate) takes_effect: bool,
}

impl Strike {
    fn new(fault: Fault, takes_effect_if_it_may: bool) -> Self {
        Self {
            takes_effect: match fault.effect() {
                Effect::Never => false,
                Effect::Always => true,
                Effect::Either => takes_effect_if_it_may,
            },
            fault,
        }
    }
}

impl FaultPlan {
    pub(crate) fn inject(&mut self, injection: Injection) {
        self.script.push(injection);
    }

    pub(crate) fn script(&self) -> &[Injection] {
        &self.script
    }

    pub(crate) fn set_random(&mut self, random: RandomFaults) {
        self.random = Some(random);
    }

    /// The first injection that matches applies, and later ones don't see the call.
    pub(crate) fn next(&mut self, operation: Operation) -> Option<Strike> {
        let struck = self
            .script
            .iter_mut()
            .find_map(|injection| injection.strikes(operation).then(|| injection.clone()));
        self.script.retain(|injection| !injection.is_over());
        match struck {
            Some(injection) => Some(Strike::new(injection.fault, injection.takes_effect)),
            None => self.random.as_mut()?.next(),
        }
    }
}

/// Faults from a seeded generator.
pub(crate) struct RandomFaults {
    rng: StdRng,
    probability: f64,
    faults: Vec<Fault>,
}

impl RandomFaults {
    /// A probability of 0 or less means no call, and one of 1 or more means every call.
    pub(crate) fn new(seed: u64, probability: f64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            probability,
            faults: Fault::all(),
        }
    }

    fn next(&mut self) -> Option<Strike> {
        let strikes = self.rng.random::<f64>() < self.probability;
        if !strikes {
            return None;
        }
        let fault = self.faults.choose(&mut self.rng)?.clone();
        Some(Strike::new(fault, self.rng.random()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_goes_in_order_and_before_chance() {
        let mut plan = FaultPlan::default();
        plan.set_random(RandomFaults::new(1, 0.0));
        plan.inject(Injection::new(Fault::Status(500)).on(Operation::Refresh));
        plan.inject(Injection::new(Fault::Status(503)).times(2).taking_effect());
        plan.inject(Injection::new(Fault::Redirect).taking_effect());
        let mut next = |operation| {
            let strike = plan.next(operation)?;
            Some((strike.fault.to_string(), strike.takes_effect))
        };
        assert_eq!(next(Operation::Get), Some(("503".to_owned(), true)));
        assert_eq!(next(Operation::Refresh), Some(("500".to_owned(), false)));
        assert_eq!(next(Operation::Refresh), Some(("503".to_owned(), true)));
        let redirect = ("redirect elsewhere".to_owned(), false);
        assert_eq!(next(Operation::Refresh), Some(redirect));
        assert_eq!(next(Operation::Refresh), None);
    }

    #[test]
    fn a_seed_gives_the_same_faults_again() {
        let draw = |seed, probability| {
            let mut random = RandomFaults::new(seed, probability);
            (0..1000).map(|_| random.next()).collect::<Vec<_>>()
        };
        let faults = draw(7, 0.5);
        assert_eq!(faults, draw(7, 0.5));
        assert_ne!(faults, draw(8, 0.5));
        assert!((400..600).contains(&faults.iter().flatten().count()));
        assert_eq!(draw(7, 0.0).iter().flatten().count(), 0);
        assert_eq!(draw(7, 1.0).iter().flatten().count(), 1000);
    }
}
