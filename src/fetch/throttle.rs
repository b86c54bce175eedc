//! A bound on what goes on at once, in all and per host; and which hosts are unreachable. Does not know what goes on.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Limits;

/// Hands out permits.
#[derive(Debug)]
pub struct Throttle {
    total: Arc<Semaphore>,
    per_host: usize,
    hosts: RefCell<BTreeMap<String, Arc<Semaphore>>>,
    /// The hosts that did not answer at all when they were asked last.
    unreachable: RefCell<BTreeSet<String>>,
}

/// A place, at one host or several; given back when it is dropped.
pub(super) struct Permit {
    _hosts: Vec<OwnedSemaphorePermit>,
    _total: OwnedSemaphorePermit,
}

impl Throttle {
    /// Places as many as `limits` says.
    pub fn new(limits: &Limits) -> Self {
        let Limits { total, per_host, .. } = *limits;
        Self {
            total: Arc::new(Semaphore::new(total)),
            per_host,
            hosts: RefCell::default(),
            unreachable: RefCell::default(),
        }
    }

    /// Waits for a place. The host's place comes first, so that a slow host does not hold places of the others.
    pub(super) async fn enter(&self, host: &str) -> Permit {
        self.enter_together([host]).await
    }

    /// Waits for one place that is at several hosts.
    pub(super) async fn enter_together<'h>(&self, hosts: impl IntoIterator<Item = &'h str>) -> Permit {
        let mut permits = Vec::new();
        // Everyone waits in the same order, so that no two wait for each other.
        for host in hosts.into_iter().collect::<BTreeSet<_>>() {
            let host = self.host(host);
            permits.push(host.acquire_owned().await.expect("the semaphore is never closed"));
        }
        let total = Arc::clone(&self.total).acquire_owned().await.expect("the semaphore is never closed");
        Permit { _hosts: permits, _total: total }
    }

    /// Whether the host did not answer at all when it was asked last.
    pub(super) fn is_unreachable(&self, host: &str) -> bool {
        self.unreachable.borrow().contains(host)
    }

    /// Notes whether the host answered, with whatever.
    pub(super) fn note(&self, host: &str, answered: bool) {
        if answered {
            self.unreachable.borrow_mut().remove(host);
        } else {
            self.unreachable.borrow_mut().insert(host.to_owned());
        }
    }

    fn host(&self, host: &str) -> Arc<Semaphore> {
        let mut hosts = self.hosts.borrow_mut();
        let semaphore = hosts.entry(host.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.per_host)));
        Arc::clone(semaphore)
    }
}
