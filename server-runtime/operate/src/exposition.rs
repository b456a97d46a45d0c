//! Prometheus text, exposition format 0.0.4: written without a slip, and read strictly enough to find one.
//! Source: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

mod check;
mod page;
pub mod process;

pub use check::{Family, Flaw, Kind, Sample, parse};
pub use page::{Buckets, Page};
