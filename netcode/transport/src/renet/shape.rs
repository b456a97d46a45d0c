//! Which datagrams have the shape of a netcode 1.02 packet at all: no others are shown to renetcode. Must never know a
//! key.

/// Whether `datagram` can be a packet that renetcode sends: every length is checked here before anything is split.
pub(super) fn is_packet(datagram: &[u8]) -> bool {
    let Some((&prefix, rest)) = datagram.split_first() else { return false };
    let (kind, sequence_len) = (prefix & 0x0f, usize::from(prefix >> 4));
    if kind == REQUEST {
        return prefix == REQUEST && datagram.len() == netcode_proto::REQUEST_BYTES;
    }
    // renetcode writes the sequence 0 in no bytes at all.
    let Some((sequence, sealed)) = rest.split_at_checked(sequence_len) else { return false };
    let Some(text_len) = sealed.len().checked_sub(TAG_BYTES) else { return false };
    sequence_len <= 8 && is_near(sequence) && fits(kind, text_len)
}

/// Sequences begin at 0: one of the upper half nobody ever reached.
fn is_near(sequence: &[u8]) -> bool {
    sequence.get(7).is_none_or(|highest| *highest < 0x80)
}

/// Whether a text of this length can be of this kind.
fn fits(kind: u8, text_len: usize) -> bool {
    match kind {
        1 | 6 => text_len == 0,
        2 | 3 => text_len == 8 + 300,
        4 => text_len == 8,
        5 => (1..=renetcode::NETCODE_MAX_PAYLOAD_BYTES).contains(&text_len),
        _ => false,
    }
}

const REQUEST: u8 = 0;
const TAG_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(kind: u8, sequence: &[u8], text_len: usize) -> Vec<u8> {
        let mut packet = vec![kind | (sequence.len() as u8) << 4];
        packet.extend_from_slice(sequence);
        packet.resize(packet.len() + text_len + TAG_BYTES, 0);
        packet
    }

    #[test]
    fn a_packet_has_the_length_of_its_kind() {
        let check = |kind: u8, text_len: usize| {
            for sequence in [&[][..], &[1], &[0, 0, 0, 0, 0, 0, 0, 0x7f]] {
                assert!(is_packet(&packet(kind, sequence, text_len)), "kind {kind}");
                assert!(!is_packet(&packet(kind, sequence, 1301)), "kind {kind}, too long");
                let cut = packet(kind, sequence, 0);
                assert!(!is_packet(&cut[..cut.len() - 1]), "kind {kind}, without room for a tag");
            }
            assert!(!is_packet(&packet(kind, &[0; 9], text_len)), "kind {kind}, nine bytes of sequence");
            assert!(!is_packet(&packet(kind, &[0xff; 8], text_len)), "kind {kind}, far ahead");
        };
        check(1, 0);
        check(2, 308);
        check(3, 308);
        check(4, 8);
        check(5, 1);
        check(5, 1300);
        check(6, 0);
    }

    #[test]
    fn a_request_has_one_length_and_other_kinds_none() {
        let mut request = vec![0; 1078];
        assert!(is_packet(&request));
        request[0] = 0x10;
        assert!(!is_packet(&request));
        assert!(!is_packet(&[0; 1077]) && !is_packet(&[]));
        assert!((7..16).all(|kind| !is_packet(&packet(kind, &[1], 8))));
    }
}
