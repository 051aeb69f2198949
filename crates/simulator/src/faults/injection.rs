use serde::{Deserialize, Serialize};

use crate::api::Operation;
use crate::faults::Fault;

/// A [`Fault`] for certain calls, which may or may not take effect.
///
/// By default it hits the next call, whatever the operation, and that call does not take
/// effect.
///
/// ```
/// use cf_service_tokens_simulator::{Fault, Injection, Operation, Simulator};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let simulator = Simulator::builder().start().await?;
/// // The second and third refresh take place, but their answers are lost.
/// simulator.inject(
///     Injection::new(Fault::ResetAfterRequest)
///         .on(Operation::Refresh)
///         .skip(1)
///         .times(2)
///         .taking_effect(),
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Injection {
    pub(crate) fault: Fault,
    #[serde(rename = "on", default)]
    operation: Option<Operation>,
    #[serde(default)]
    skip: u32,
    /// `None` for always.
    #[serde(default = "once")]
    times: Option<u32>,
    #[serde(default)]
    pub(crate) takes_effect: bool,
}

fn once() -> Option<u32> {
    Some(1)
}

impl Injection {
    /// Creates an injection of this fault into the next call.
    ///
    /// See the example of [`Injection`].
    pub fn new(fault: Fault) -> Self {
        Self {
            fault,
            operation: None,
            skip: 0,
            times: Some(1),
            takes_effect: false,
        }
    }

    /// Limits the injection to calls of this operation.
    ///
    /// See the example of [`Injection`].
    #[must_use]
    pub fn on(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Skips this number of matching calls first.
    ///
    /// See the example of [`Injection`].
    #[must_use]
    pub fn skip(mut self, calls: u32) -> Self {
        self.skip = calls;
        self
    }

    /// Sets how many calls in a row meet the fault. The default is 1.
    ///
    /// See the example of [`Injection`].
    #[must_use]
    pub fn times(mut self, calls: u32) -> Self {
        self.times = Some(calls);
        self
    }

    /// Makes every matching call meet the fault, until [`clear_faults`](crate::Simulator::clear_faults).
    ///
    /// See the example of [`Simulator::inject`](crate::Simulator::inject).
    #[must_use]
    pub fn always(mut self) -> Self {
        self.times = None;
        self
    }

    /// Makes the call take effect before the fault hits it, so that only its response is
    /// lost. It changes nothing for a fault that always or never lets a call take effect;
    /// see [`Fault`].
    ///
    /// See the example of [`Injection`].
    #[must_use]
    pub fn taking_effect(mut self) -> Self {
        self.takes_effect = true;
        self
    }

    /// Returns whether a call meets the fault, and counts it.
    pub(crate) fn strikes(&mut self, operation: Operation) -> bool {
        if self.is_over() || self.operation.is_some_and(|only| only != operation) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.times = self.times.map(|times| times - 1);
        true
    }

    /// Returns whether enough calls have met the fault.
    pub(crate) fn is_over(&self) -> bool {
        self.times == Some(0)
    }
}

impl From<Fault> for Injection {
    fn from(fault: Fault) -> Self {
        Self::new(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_strikes_the_calls_that_it_is_for_and_no_others() {
        let mut injection = Injection::new(Fault::LockOut)
            .on(Operation::Refresh)
            .skip(1)
            .times(2);
        let struck = [
            Operation::Get,
            Operation::Refresh,
            Operation::Refresh,
            Operation::Get,
            Operation::Refresh,
            Operation::Refresh,
        ]
        .map(|operation| injection.strikes(operation));
        assert_eq!(struck, [false, false, true, false, true, false]);
        assert!(injection.is_over());
        assert!(
            !Injection::new(Fault::LockOut)
                .times(0)
                .strikes(Operation::Get)
        );

        let mut always = Injection::new(Fault::LockOut).always();
        assert!((0..1000).all(|_| always.strikes(Operation::List)));
    }
}
