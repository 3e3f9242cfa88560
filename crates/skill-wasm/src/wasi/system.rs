//! Arguments, variables, clocks, random bytes, and waiting.

use std::time::Duration;

use super::guest::{Guest, place};
use super::{Answer, Errno, Host};

const REALTIME: u32 = 0;
const MONOTONIC: u32 = 1;
const CPUTIME_OF_THREAD: u32 = 3;

/// Bytes of random data between two looks whether time is up.
const RANDOM_BYTES: usize = 64 * 1024;
/// Things that are waited for at once.
const SUBSCRIPTIONS_MAX: u32 = 1024;
const SUBSCRIPTION_BYTES: u32 = 48;
/// A moment, not a duration.
const ABSOLUTE: u16 = 1;
const EVENT_CLOCK: u8 = 0;
const EVENT_READ: u8 = 1;
const EVENT_WRITE: u8 = 2;

impl Guest<'_> {
    pub fn args_sizes_get(&mut self, count: u32, bytes: u32) -> Answer {
        let (all, length) = sizes(&self.host.arguments);
        self.put_length(count, all)?;
        Ok(self.put_length(bytes, length)?)
    }

    pub fn args_get(&mut self, list: u32, text: u32) -> Answer {
        Ok(put_list(self.memory, &self.host.arguments, list, text)?)
    }

    pub fn environ_sizes_get(&mut self, count: u32, bytes: u32) -> Answer {
        let (all, length) = sizes(&self.host.environment);
        self.put_length(count, all)?;
        Ok(self.put_length(bytes, length)?)
    }

    pub fn environ_get(&mut self, list: u32, text: u32) -> Answer {
        Ok(put_list(self.memory, &self.host.environment, list, text)?)
    }

    pub fn clock_res_get(&mut self, clock: u32, to: u32) -> Answer {
        now(self.host, clock)?;
        Ok(self.put_u64(to, 1)?)
    }

    pub fn clock_time_get(&mut self, clock: u32, _precision: u64, to: u32) -> Answer {
        let now = nanoseconds(now(self.host, clock)?);
        Ok(self.put_u64(to, now)?)
    }

    pub fn random_get(&mut self, to: u32, length: u32) -> Answer {
        for chunk in place(self.memory, to, length as usize)?.chunks_mut(RANDOM_BYTES) {
            self.host.look_up()?;
            (self.host.world.random)(chunk);
        }
        Ok(())
    }

    pub fn sched_yield(&mut self) -> Answer {
        std::thread::yield_now();
        Ok(())
    }

    /// Files and streams are always ready; otherwise the first of the clocks is waited for.
    pub fn poll_oneoff(
        &mut self,
        subscriptions: u32,
        events: u32,
        count: u32,
        happened: u32,
    ) -> Answer {
        if count == 0 || count > SUBSCRIPTIONS_MAX {
            return Err(Errno::Inval.into());
        }
        let mut ready = Vec::new();
        let mut clocks = Vec::new();
        let list = self.bytes(subscriptions, count * SUBSCRIPTION_BYTES)?;
        for entry in list.chunks_exact(SUBSCRIPTION_BYTES as usize) {
            let entry = Subscription::read(entry)?;
            match entry.kind {
                EVENT_CLOCK => clocks.push((entry.waits(self.host)?, entry)),
                EVENT_READ | EVENT_WRITE => ready.push(entry),
                _ => return Err(Errno::Inval.into()),
            }
        }
        if ready.is_empty() {
            let first = clocks.iter().map(|(waits, _)| *waits).min();
            let first = first.unwrap_or_default();
            self.host.sleep(first)?;
            let due = clocks.into_iter().filter(|(waits, _)| *waits <= first);
            ready = due.map(|(_, entry)| entry).collect();
        }
        let mut all = Vec::new();
        for entry in &ready {
            all.extend_from_slice(&entry.event());
        }
        self.put(events, &all)?;
        Ok(self.put_length(happened, ready.len())?)
    }
}

impl Host {
    /// Sleeps, unless the run ends before.
    fn sleep(&self, duration: Duration) -> Answer {
        let left = self.deadline.map_or(duration, |deadline| {
            deadline.saturating_duration_since(std::time::Instant::now())
        });
        self.stop.wait(duration.min(left));
        Ok(self.look_up()?)
    }
}

/// A thing that is waited for.
struct Subscription {
    user_data: [u8; 8],
    kind: u8,
    clock: u32,
    timeout: Duration,
    flags: u16,
}

impl Subscription {
    fn read(bytes: &[u8]) -> Result<Self, Errno> {
        let field = |at: usize, length: usize| bytes.get(at..at + length).ok_or(Errno::Fault);
        let number = |at: usize| -> Result<u64, Errno> {
            let bytes = field(at, 8)?.try_into().map_err(|_| Errno::Fault)?;
            Ok(u64::from_le_bytes(bytes))
        };
        Ok(Self {
            user_data: number(0)?.to_le_bytes(),
            kind: field(8, 1)?[0],
            clock: (number(16)? & u64::from(u32::MAX)) as u32,
            timeout: Duration::from_nanos(number(24)?),
            flags: (number(40)? & u64::from(u16::MAX)) as u16,
        })
    }

    fn waits(&self, host: &Host) -> Result<Duration, Errno> {
        let now = now(host, self.clock)?;
        Ok(if self.flags & ABSOLUTE == 0 {
            self.timeout
        } else {
            self.timeout.saturating_sub(now)
        })
    }

    fn event(&self) -> [u8; 32] {
        let mut event = [0; 32];
        event[..8].copy_from_slice(&self.user_data);
        event[10] = self.kind;
        // For a stream: at least one byte can go through.
        event[16] = u8::from(self.kind != EVENT_CLOCK);
        event
    }
}

fn now(host: &Host, clock: u32) -> Result<Duration, Errno> {
    match clock {
        REALTIME => Ok((host.world.wall_clock)()),
        // A run computes on one thread for all of its time: that serves as its processor time, too.
        MONOTONIC..=CPUTIME_OF_THREAD => Ok(host.started.elapsed()),
        _ => Err(Errno::Inval),
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// How many there are, and their bytes with a zero after each.
fn sizes(list: &[Vec<u8>]) -> (usize, usize) {
    (list.len(), list.iter().map(|text| text.len() + 1).sum())
}

/// C's form: a list of pointers, and what they point to.
fn put_list(memory: &mut [u8], list: &[Vec<u8>], pointers: u32, texts: u32) -> Result<(), Errno> {
    let mut text = texts;
    for (number, bytes) in list.iter().enumerate() {
        let pointer = u32::try_from(number * 4)
            .ok()
            .and_then(|offset| pointers.checked_add(offset))
            .ok_or(Errno::Fault)?;
        place(memory, pointer, 4)?.copy_from_slice(&text.to_le_bytes());
        let room = place(memory, text, bytes.len() + 1)?;
        room[..bytes.len()].copy_from_slice(bytes);
        room[bytes.len()] = 0;
        let length = u32::try_from(room.len()).map_err(|_| Errno::Fault)?;
        text = text.checked_add(length).ok_or(Errno::Fault)?;
    }
    Ok(())
}
