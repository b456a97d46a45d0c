//! Server addresses as netcode 1.02 writes them. Must never know what lives at an address.
//!
//! | byte | IPv4 | IPv6 |
//! |---|---|---|
//! | 0 | 1 | 2 |
//! | 1.. | 4 bytes in text order | 8 segments, 2 bytes each, little-endian |
//! | then | port, 2 bytes | port, 2 bytes |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use netcode_wire::{ByteReader, ByteWriter, WireError};

use crate::{SERVERS_MAX, TokenError};

const IPV4: u8 = 1;
const IPV6: u8 = 2;

/// Writes the count (4 bytes) and the addresses.
pub(crate) fn encode(out: &mut ByteWriter<'_>, servers: &[SocketAddr]) -> Result<(), WireError> {
    out.u32(servers.len() as u32)?;
    for server in servers {
        match server.ip() {
            IpAddr::V4(ip) => {
                out.u8(IPV4)?;
                out.slice(&ip.octets())?;
            }
            IpAddr::V6(ip) => {
                out.u8(IPV6)?;
                ip.segments().iter().try_for_each(|&segment| out.u16(segment))?;
            }
        }
        out.u16(server.port())?;
    }
    Ok(())
}

/// Reads the count and the addresses; 1 to 32 of them.
pub(crate) fn decode(input: &mut ByteReader<'_>) -> Result<Vec<SocketAddr>, TokenError> {
    let count = input.u32()? as usize;
    if !(1..=SERVERS_MAX).contains(&count) {
        return Err(TokenError::Malformed("number of servers"));
    }
    (0..count).map(|_| decode_one(input)).collect()
}

fn decode_one(input: &mut ByteReader<'_>) -> Result<SocketAddr, TokenError> {
    let ip = match input.u8()? {
        IPV4 => IpAddr::V4(Ipv4Addr::from(input.array::<4>()?)),
        IPV6 => {
            let mut segments = [0; 8];
            for segment in &mut segments {
                *segment = input.u16()?;
            }
            IpAddr::V6(Ipv6Addr::from(segments))
        }
        _ => return Err(TokenError::Malformed("address type")),
    };
    Ok(SocketAddr::new(ip, input.u16()?))
}
