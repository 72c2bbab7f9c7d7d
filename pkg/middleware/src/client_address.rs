//! Whose address a request comes from, when proxies stand between.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The peer of the connection, put into the request by what accepted it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// The address that the outermost trusted proxy saw: each proxy appends its peer to `X-Forwarded-For`, so with `n`
/// trusted hops it is the n-th entry from the right. Whatever a client writes stands left of that. With fewer entries
/// than hops, or an entry that is no address, the header is not from our proxies, and the peer counts.
pub(crate) fn client_address(headers: &HeaderMap, peer: Option<IpAddr>, trusted_hops: u8) -> Option<IpAddr> {
    let forwarded = match trusted_hops {
        0 => None,
        hops => nth_from_the_right(headers, usize::from(hops) - 1),
    };
    forwarded.or(peer).map(|address| address.to_canonical())
}

fn nth_from_the_right(headers: &HeaderMap, n: usize) -> Option<IpAddr> {
    // Several header lines are one list, in order; reading from the back needs no copy.
    let mut passed = 0;
    let lines: Vec<_> = headers.get_all(X_FORWARDED_FOR).iter().collect();
    for line in lines.into_iter().rev() {
        let text = line.to_str().ok()?;
        for entry in text.rsplit(',') {
            if passed == n {
                return address(entry.trim());
            }
            passed += 1;
        }
    }
    None
}

/// An address, or one with a port as some proxies write it.
fn address(text: &str) -> Option<IpAddr> {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    bracketed.unwrap_or(text).parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn seen(lines: &[&str], hops: u8) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_str(line).expect("a header"));
        }
        client_address(&headers, Some(PEER), hops).expect("there is a peer").to_string()
    }

    #[test]
    fn the_nth_entry_from_the_right_counts_over_all_lines() {
        assert_eq!(seen(&["198.51.100.1, 192.0.2.1"], 1), "192.0.2.1");
        assert_eq!(seen(&["198.51.100.1, 192.0.2.1"], 2), "198.51.100.1");
        assert_eq!(seen(&["198.51.100.1", "192.0.2.1,203.0.113.9"], 3), "198.51.100.1");
        assert_eq!(seen(&["[2001:db8::1]:443"], 1), "2001:db8::1");
        assert_eq!(seen(&["::ffff:192.0.2.1"], 1), "192.0.2.1");
        assert_eq!(seen(&["192.0.2.1:5000"], 1), "192.0.2.1");
    }

    #[test]
    fn without_enough_good_entries_the_peer_counts() {
        assert_eq!(seen(&["192.0.2.1"], 0), "10.0.0.1");
        assert_eq!(seen(&["192.0.2.1"], 2), "10.0.0.1");
        assert_eq!(seen(&["192.0.2.1, unknown"], 1), "10.0.0.1");
        assert_eq!(seen(&["192.0.2.1,"], 1), "10.0.0.1");
        assert_eq!(seen(&[], 1), "10.0.0.1");
    }

    proptest! {
        #[test]
        fn what_a_client_writes_does_not_change_what_our_proxy_saw(forged in "[ -~]{0,60}") {
            let line = format!("{forged}, 192.0.2.1");
            prop_assert_eq!(seen(&[forged.as_str(), line.as_str()], 1), "192.0.2.1");
            prop_assert_eq!(seen(&[forged.as_str()], 0), "10.0.0.1");
        }
    }
}
