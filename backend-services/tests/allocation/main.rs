//! One suite over all back ends that hand out servers: Agones' allocator over mutual TLS, the Kubernetes API,
//! and the local fleet with real processes. Then what stands above them: certificates, regions, clusters.

#![allow(unreachable_pub, reason = "the parts of one test program")]

mod agones;
mod certs;
mod conformance;
mod fake_server;
mod kube_double;
mod kube_tls;
mod kubernetes;
mod place;
mod regions;
mod tls;
mod world;

/// The suite, over one back end.
macro_rules! conforms {
    ($name:ident, $kind:expr) => {
        mod $name {
            use crate::{conformance, place::Kind};

            conforms!(@each $kind => takes_a_server_that_fits takes_none_that_does_not_fit takes_none_twice
                runs_lost_races_again says_what_is_wrong refuses_bad_answers admits_what_is_ready);
        }
    };
    (@each $kind:expr => $($test:ident)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            conformance::$test($kind).await;
        }
    )+};
}

conforms!(agones_over_mutual_tls, Kind::Agones);
conforms!(kubernetes_api, Kind::Kubernetes);
conforms!(local_fleet, Kind::Fleet);
