//! What the messages say: a stamp, a number, filling; and the bytes of the bulk. Must never know how they travel.
//!
//! | bytes | reliable and unreliable message from the server |
//! |---|---|
//! | 0..8 | [`crate::monotonic_ns`] when it was handed over; 0: do not measure |
//! | 8..16 | its number among its client's and class's messages |
//! | 16.. | filling |

/// Bytes of the unreliable message that each client is sent each tick.
pub const UNRELIABLE_BYTES: usize = 200;
/// Bytes of the reliable, ordered message that each client is sent each tick.
pub const RELIABLE_BYTES: usize = 32;
/// Bytes of the unreliable message that each client sends each tick.
pub const INPUT_BYTES: usize = 40;
/// Bytes of the bulk.
pub const BULK_BYTES: usize = 1 << 20;

/// What a message is promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Nothing.
    Unreliable,
    /// To arrive once and in order.
    Reliable,
}

/// Writes stamp and number into the head of a message.
pub(crate) fn stamp(message: &mut [u8], stamp_ns: u64, number: u64) {
    message[..8].copy_from_slice(&stamp_ns.to_le_bytes());
    message[8..16].copy_from_slice(&number.to_le_bytes());
}

/// Stamp and number; `None` when it is not one of ours.
pub(crate) fn read_stamp(message: &[u8]) -> Option<(u64, u64)> {
    let stamp = message.first_chunk::<8>()?;
    let number = message.get(8..)?.first_chunk::<8>()?;
    Some((u64::from_le_bytes(*stamp), u64::from_le_bytes(*number)))
}

/// The bulk, its stamp in front: bytes without a pattern that a fault could hit by chance.
pub(crate) fn bulk(stamp_ns: u64) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes = Vec::with_capacity(BULK_BYTES);
    bytes.extend_from_slice(&stamp_ns.to_le_bytes());
    while bytes.len() < BULK_BYTES {
        // xorshift64 (Marsaglia 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_comes_back_and_the_bulk_is_as_long_as_it_says() {
        let mut message = [7; RELIABLE_BYTES];
        stamp(&mut message, 5, 6);
        assert_eq!(read_stamp(&message), Some((5, 6)));
        assert_eq!(read_stamp(&message[..15]), None);
        let bytes = bulk(9);
        assert_eq!((bytes.len(), bytes[0]), (BULK_BYTES, 9));
        assert_ne!(bytes[8..512], bytes[520..1024]);
    }
}
