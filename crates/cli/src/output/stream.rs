//! The two streams of the command. Threads write those of a watcher, so that a full pipe delays
//! no renewal.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use anstream::AutoStream;

use super::{remark, unwritable};
use crate::failure::{Exit, Failure};

/// The most that may wait for the reader of a stream, in bytes.
const MAX_WAITING: usize = 1 << 20;
/// How long the command waits for each reader before it ends.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

static STDOUT: OnceLock<Queue> = OnceLock::new();
static STDERR: OnceLock<Queue> = OnceLock::new();

/// Starts the threads that write both streams from now on.
pub(crate) fn start_writers() -> Result<(), Failure> {
    let streams = [Stream::Stdout, Stream::Stderr];
    for stream in streams {
        let writer = thread::Builder::new().spawn(move || {
            let queue = stream.queue().get_or_init(Queue::default);
            stream.write_all_from(queue);
        });
        writer.map_err(|error| {
            Failure::new(Exit::Failed, "can't start a thread for the log").because(error)
        })?;
    }
    // Nothing is queued before both have started.
    for stream in streams {
        stream.queue().get_or_init(Queue::default);
    }
    Ok(())
}

/// Waits until the threads, if there are any, have written everything, but only a moment for a
/// full pipe.
pub(crate) fn finish() {
    // A note about standard output goes to standard error.
    for stream in [Stream::Stdout, Stream::Stderr] {
        if let Some(queue) = stream.queue().get() {
            queue.finish();
        }
    }
}

impl Stream {
    /// Writes for people: with colour if the stream shows it, and without what only a terminal
    /// understands if it is none.
    pub(super) fn words(
        self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        match (self.queue().get(), self) {
            (Some(queue), stream) => {
                let choice = match stream {
                    Self::Stdout => AutoStream::choice(&io::stdout()),
                    Self::Stderr => AutoStream::choice(&io::stderr()),
                };
                let mut text = AutoStream::new(Vec::new(), choice);
                write(&mut text)?;
                queue.push(text.into_inner());
                Ok(())
            }
            (None, Self::Stdout) => flushed(&mut anstream::stdout().lock(), write),
            (None, Self::Stderr) => flushed(&mut anstream::stderr().lock(), write),
        }
    }

    /// Writes for programs: byte for byte the same, whatever reads it.
    pub(super) fn data(
        self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(queue) = self.queue().get() else {
            return self.at_once(write);
        };
        let mut text = Vec::new();
        write(&mut text)?;
        queue.push(text);
        Ok(())
    }

    fn at_once(self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        match self {
            Self::Stdout => flushed(&mut io::stdout().lock(), write),
            Self::Stderr => flushed(&mut io::stderr().lock(), write),
        }
    }

    fn queue(self) -> &'static OnceLock<Queue> {
        match self {
            Self::Stdout => &STDOUT,
            Self::Stderr => &STDERR,
        }
    }

    /// Writes what is queued, as long as the process runs. Standard error says once that
    /// standard output can't be written; later lines are tried all the same, since a disk may
    /// have room again.
    fn write_all_from(self, queue: &Queue) {
        let mut is_broken = false;
        loop {
            let text = queue.take();
            let written = self.at_once(|out| out.write_all(&text));
            let was_broken = std::mem::replace(&mut is_broken, written.is_err());
            if let (Self::Stdout, Err(error), false) = (self, written, was_broken) {
                let failure = unwritable(error);
                failure.next("the watcher continues without its log").show();
            }
            if let Some(dropped) = queue.dropped() {
                let stream = match self {
                    Self::Stdout => "output",
                    Self::Stderr => "error",
                };
                remark(format!(
                    "standard {stream} was not read in time; messages dropped: {dropped}"
                ));
            }
            queue.done();
        }
    }
}

/// Standard error, for the traces, which write a line at once.
pub(crate) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        Stream::Stderr.data(|out| out.write_all(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes, and flushes, so that nothing that matters is held back.
pub(super) fn flushed(
    stream: &mut dyn Write,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    match write(stream).and_then(|()| stream.flush()) {
        // The reader has enough, such as `head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// What waits for the thread that writes it.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    texts: VecDeque<Vec<u8>>,
    size: usize,
    /// How many texts found no room since this was last reported.
    dropped: u64,
    is_writing: bool,
}

impl Queue {
    /// Adds a text, if there is room for it. An empty queue has room for any text.
    fn push(&self, text: Vec<u8>) {
        let mut waiting = self.lock();
        match waiting.texts.is_empty() || waiting.size + text.len() <= MAX_WAITING {
            true => {
                waiting.size += text.len();
                waiting.texts.push_back(text);
            }
            false => waiting.dropped += 1,
        }
        self.changed.notify_all();
    }

    /// Waits for the next text, and returns it. It is written until [`done`](Self::done).
    fn take(&self) -> Vec<u8> {
        let mut waiting = self.lock();
        loop {
            if let Some(text) = waiting.texts.pop_front() {
                waiting.size -= text.len();
                waiting.is_writing = true;
                return text;
            }
            let changed = self.changed.wait(waiting);
            waiting = changed.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Returns how many texts were dropped, once there is room to report it.
    fn dropped(&self) -> Option<u64> {
        let mut waiting = self.lock();
        let is_due = waiting.texts.is_empty() && waiting.dropped > 0;
        is_due.then(|| std::mem::take(&mut waiting.dropped))
    }

    /// Notes that the text has been written.
    fn done(&self) {
        self.lock().is_writing = false;
        self.changed.notify_all();
    }

    /// Waits a moment until all is written.
    fn finish(&self) {
        let is_left = |waiting: &mut Waiting| waiting.is_writing || !waiting.texts.is_empty();
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), PATIENCE, is_left);
        drop(waited);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_counted_and_reported_once_all_else_is_written() {
        let queue = Queue::default();
        queue.push(b"first".to_vec());
        queue.push(vec![b'.'; MAX_WAITING - 5]);
        queue.push(b"dropped".to_vec());
        queue.push(b"dropped".to_vec());
        assert_eq!(queue.take(), b"first");
        assert_eq!(queue.dropped(), None);
        queue.done();
        assert_eq!(queue.take().len(), MAX_WAITING - 5);
        assert_eq!(queue.dropped(), Some(2));
        assert_eq!(queue.dropped(), None);
        queue.push(b"next".to_vec());
        assert_eq!(queue.take(), b"next");
        queue.push(vec![b'.'; MAX_WAITING + 1]);
        assert_eq!(queue.take().len(), MAX_WAITING + 1);
    }
}
