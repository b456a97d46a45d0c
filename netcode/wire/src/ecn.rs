//! The congestion mark of an IP packet. Owns the names of its four values; must never know who sets or answers them.

/// The two ECN bits of the IP header (RFC 3168 §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ecn {
    /// 00: the sender does not take part, or nobody can read the bits here.
    #[default]
    NotCapable,
    /// 01: capable; with L4S (RFC 9331) the sender reacts to each mark.
    Ect1,
    /// 10: capable.
    Ect0,
    /// 11: a router on the way is congested. Where the sender was capable, the receiver tells it.
    CongestionExperienced,
}
