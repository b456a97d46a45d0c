//! Several endpoints of one cluster as one allocator: the next is asked where one cannot be reached.
//! Must never know what an endpoint speaks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use agones_sdk::allocation::AllocationRequest;

use super::{AllocationFault, Allocator, Server};

/// The endpoints of one cluster. Asks the one that answered last, then the others in their order.
#[derive(Debug)]
pub struct Failover {
    endpoints: Vec<Arc<dyn Allocator>>,
    /// The one that answered last.
    good: AtomicUsize,
}

impl Failover {
    /// Over these, of which there must be one at least.
    pub fn new(endpoints: Vec<Arc<dyn Allocator>>) -> Self {
        assert!(!endpoints.is_empty(), "a cluster has an endpoint");
        Self { endpoints, good: AtomicUsize::new(0) }
    }

    fn good_first(&self) -> impl Iterator<Item = (usize, &Arc<dyn Allocator>)> {
        let good = self.good.load(Ordering::Relaxed);
        (0..self.endpoints.len()).map(move |step| {
            let index = (good + step) % self.endpoints.len();
            (index, &self.endpoints[index])
        })
    }
}

#[tonic::async_trait]
impl Allocator for Failover {
    async fn allocate(&self, request: AllocationRequest) -> Result<Server, AllocationFault> {
        let mut first_fault = None;
        for (index, endpoint) in self.good_first() {
            match endpoint.allocate(request.clone()).await {
                // Nothing was taken there, so that another may be asked.
                Err(fault @ AllocationFault::Unreachable(_)) => _ = first_fault.get_or_insert(fault),
                answer => {
                    self.good.store(index, Ordering::Relaxed);
                    return answer;
                }
            }
        }
        Err(first_fault.unwrap_or(AllocationFault::NoneReady))
    }

    async fn ready(&self) -> Option<u32> {
        for (_, endpoint) in self.good_first() {
            if let Some(ready) = endpoint.ready().await {
                return Some(ready);
            }
        }
        None
    }
}
