//! Which addresses are not of the public internet: the registries of IANA for special purposes, as a table.
//!
//! What carries another address within it, as the forms for the passage to IPv6 do, is refused whatever it carries: where it
//! leads is decided by a gateway that we do not know. What is not assigned is not public either.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// A network: an address, and how many of its first bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::http) struct Net {
    first: IpAddr,
    prefix: u8,
}

const NOT_PUBLIC: [(Net, &str); 34] = [
    (v4([0, 0, 0, 0], 8), "this network"),
    (v4([10, 0, 0, 0], 8), "a private address"),
    (v4([100, 64, 0, 0], 10), "an address of a carrier's NAT"),
    (v4([127, 0, 0, 0], 8), "this machine"),
    // Public by its number, and answered by the machine beneath a virtual one, in Azure.
    (v4([168, 63, 129, 16], 32), "the platform of a cloud"),
    (v4([169, 254, 0, 0], 16), "a link-local address"),
    (v4([172, 16, 0, 0], 12), "a private address"),
    (v4([192, 0, 0, 0], 24), "an address for protocols"),
    (v4([192, 0, 2, 0], 24), "an address for documentation"),
    (v4([192, 88, 99, 0], 24), "a relay of 6to4"),
    (v4([192, 168, 0, 0], 16), "a private address"),
    (v4([198, 18, 0, 0], 15), "an address for benchmarks"),
    (v4([198, 51, 100, 0], 24), "an address for documentation"),
    (v4([203, 0, 113, 0], 24), "an address for documentation"),
    (v4([224, 0, 0, 0], 4), "a multicast address"),
    (v4([255, 255, 255, 255], 32), "the broadcast address"),
    (v4([240, 0, 0, 0], 4), "a reserved address"),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), "this network"),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "this machine"),
    (v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96), "an IPv4 address in disguise"),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 96), "an IPv4 address in disguise"),
    (v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), "an IPv4 address behind NAT64"),
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), "an IPv4 address behind NAT64"),
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), "an address that is thrown away"),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), "an IPv4 address behind Teredo"),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), "an address for protocols"),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), "an address for documentation"),
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), "an IPv4 address behind 6to4"),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), "an address for documentation"),
    (v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16), "an address for segment routing"),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "a private address"),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "a link-local address"),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "a site-local address"),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "a multicast address"),
];

/// All of IPv6 that has been given out to the public internet is in here.
const GLOBAL_UNICAST: Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// What `address` is, if it is not of the public internet.
pub(super) fn not_public(address: IpAddr) -> Option<&'static str> {
    let special = NOT_PUBLIC.iter().find(|(network, _)| network.contains(address));
    let is_unassigned = address.is_ipv6() && !GLOBAL_UNICAST.contains(address);
    special.map(|(_, what)| *what).or(is_unassigned.then_some("not assigned"))
}

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> Net {
    Net { first: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix }
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], prefix: u8) -> Net {
    Net { first: IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)), prefix }
}

impl Net {
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let ((first, width), (address, width_of_address)) = (bits(self.first), bits(address));
        // A shift by the whole width leaves nothing, which only a prefix of zero asks for.
        let differs = (first ^ address).checked_shr(width - u32::from(self.prefix)).unwrap_or(0);
        width == width_of_address && differs == 0
    }
}

/// The bits of an address, and how many there are.
fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (address.to_bits().into(), Ipv4Addr::BITS),
        IpAddr::V6(address) => (address.to_bits(), Ipv6Addr::BITS),
    }
}

impl FromStr for Net {
    type Err = ();

    /// `10.0.0.0/8`; not `10.0.0.1/8`, which leaves open what is meant.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (first, prefix) = text.split_once('/').ok_or(())?;
        let (first, prefix) = (first.parse().map_err(drop)?, prefix.parse::<u8>().map_err(drop)?);
        let (bits, width) = bits(first);
        let is_first =
            u32::from(prefix) <= width && bits.trailing_zeros() >= width - u32::from(prefix);
        is_first.then_some(Self { first, prefix }).ok_or(())
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}
