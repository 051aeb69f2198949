//! A share of many accounts, for one of several programs.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// A share of many accounts, chosen by their ids, so that several programs divide the work.
///
/// Programs with the same API token share its rate limit, so give each program an API token
/// of its own.
///
/// ```
/// use cf_service_tokens::renewal::Shard;
///
/// let shard: Shard = "0/4".parse()?;
/// assert_eq!(shard, Shard::new(0, 4)?);
/// assert!(Shard::new(4, 4).is_err(), "shards count from 0");
///
/// let id = "023e105f4ecef8ad9ca31a8372d0c353";
/// let shards = (0..4).map(|index| Shard::new(index, 4));
/// let holders = shards.filter(|shard| shard.as_ref().is_ok_and(|shard| shard.holds(id)));
/// assert_eq!(holders.count(), 1);
/// # Ok::<(), cf_service_tokens::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shard {
    index: u32,
    count: u32,
}

impl Shard {
    /// Creates shard `index`, counted from 0, of `count` shards.
    ///
    /// See the example of [`Shard`].
    ///
    /// # Errors
    ///
    /// An error for which [`Error::is_configuration`] holds, if `index` is not below `count`.
    pub fn new(index: u32, count: u32) -> Result<Self, Error> {
        if index >= count {
            return Err(Error::configuration(format!(
                "there is no shard {index} of {count}: shards count from 0, so write 0/{count} for the first",
                count = count.max(1),
            )));
        }
        Ok(Self { index, count })
    }

    /// Returns whether the account with this id belongs to the shard. Each id belongs to
    /// exactly one shard, and to the same one in every version of this crate.
    ///
    /// See the example of [`Shard`].
    pub fn holds(self, id: &str) -> bool {
        // FNV-1a spreads ids well enough, and is the same on every machine.
        let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        hash % u64::from(self.count) == u64::from(self.index)
    }
}

impl FromStr for Shard {
    type Err = Error;

    /// Parses `I/N`, shard I of N.
    fn from_str(text: &str) -> Result<Self, Error> {
        let numbers = text
            .split_once('/')
            .and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        match numbers {
            Some((index, count)) => Self::new(index, count),
            None => Err(Error::configuration(format!(
                "{text:?} is not a shard: write I/N, such as 0/4 for the first of four"
            ))),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}
