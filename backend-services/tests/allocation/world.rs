//! The servers behind a double, and what the double does wrong next. Knows no wire.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

/// What the next request gets instead of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Lost the race.
    Contention,
    /// Not allowed.
    Refused,
    /// No answer at all.
    Silence,
    /// An answer that is wrong in this way.
    Bad(Bad),
}

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    NoName,
    NoPort,
    PortZero,
    PortTooLarge,
    NoAddress,
    NonsenseAddress,
}

impl Bad {
    pub const ALL: [Self; 6] = [
        Self::NoName,
        Self::NoPort,
        Self::PortZero,
        Self::PortTooLarge,
        Self::NoAddress,
        Self::NonsenseAddress,
    ];
}

/// A server that can be taken, or was.
#[derive(Clone, Debug)]
pub struct Made {
    pub name: String,
    pub address: String,
    pub ports: Vec<i32>,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct Inner {
    ready: VecDeque<Made>,
    taken: Vec<Made>,
    faults: VecDeque<Fault>,
    asked: Vec<Instant>,
}

/// Shared between a double and its test.
#[derive(Clone, Debug, Default)]
pub struct World(Arc<Mutex<Inner>>);

impl World {
    /// So many servers of the fleet `arena` and tier `gold`.
    pub fn with(servers: usize) -> Self {
        let world = Self::default();
        world.grow(servers);
        world
    }

    /// So many more.
    pub fn grow(&self, servers: usize) {
        let mut inner = self.lock();
        for _ in 0..servers {
            let number = inner.ready.len() + inner.taken.len();
            let made = Made {
                name: format!("made-{number}"),
                address: "127.0.0.1".to_owned(),
                ports: vec![i32::try_from(7000 + number).expect("few")],
                labels: labels(),
                annotations: BTreeMap::new(),
            };
            inner.ready.push_back(made);
        }
    }

    pub fn fail(&self, faults: &[Fault]) {
        self.lock().faults.extend(faults);
    }

    /// A request came: what goes wrong with it, if anything.
    pub fn ask(&self) -> Option<Fault> {
        let mut inner = self.lock();
        inner.asked.push(Instant::now());
        inner.faults.pop_front()
    }

    /// When requests came.
    pub fn asked(&self) -> Vec<Instant> {
        self.lock().asked.clone()
    }

    pub fn ready(&self) -> usize {
        self.lock().ready.len()
    }

    pub fn taken(&self) -> Vec<Made> {
        self.lock().taken.clone()
    }

    /// Takes the first server with these labels, and patches it.
    pub fn take(
        &self,
        labels: &BTreeMap<String, String>,
        patch: (&BTreeMap<String, String>, &BTreeMap<String, String>),
    ) -> Option<Made> {
        let mut inner = self.lock();
        let fits = |made: &Made| labels.iter().all(|(key, value)| made.labels.get(key) == Some(value));
        let index = inner.ready.iter().position(fits)?;
        let mut made = inner.ready.remove(index)?;
        made.labels.extend(patch.0.clone());
        made.annotations.extend(patch.1.clone());
        inner.taken.push(made.clone());
        Some(made)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no panic")
    }
}

/// What every server of the tests is labelled with.
pub fn labels() -> BTreeMap<String, String> {
    [("agones.dev/fleet", "arena"), ("tier", "gold")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

impl Made {
    /// The same, wrong in this way.
    pub fn spoiled(mut self, bad: Bad) -> Self {
        match bad {
            Bad::NoName => self.name.clear(),
            Bad::NoPort => self.ports.clear(),
            Bad::PortZero => self.ports = vec![0],
            Bad::PortTooLarge => self.ports = vec![70_000],
            Bad::NoAddress => self.address.clear(),
            // Not a host name either: no lookup leaves the machine for it.
            Bad::NonsenseAddress => "not an address".clone_into(&mut self.address),
        }
        self
    }
}
