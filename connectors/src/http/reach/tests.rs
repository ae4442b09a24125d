//! Tests of what is public, and of what exceptions admit. What comes of it on the wire is in `http/tests/guard.rs`.

use super::*;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn reach(exceptions: &[&str]) -> Reach {
    exceptions.iter().try_fold(Reach::public(), |reach, exception| reach.and(exception)).unwrap()
}

#[track_caller]
fn check(reach: &Reach, url: &str, expected: bool) {
    let url: Url = url.parse().unwrap();
    assert_eq!(reach.check(&url).is_ok(), expected, "{url}: {:?}", reach.check(&url));
}

/// The first and the last address of each network, and its neighbours.
#[test]
fn what_is_public_begins_and_ends_where_it_should() {
    for (inside, outside) in [
        (["0.0.0.0", "0.255.255.255"], ["1.0.0.0", "1.0.0.0"]),
        (["10.0.0.0", "10.255.255.255"], ["9.255.255.255", "11.0.0.0"]),
        (["100.64.0.0", "100.127.255.255"], ["100.63.255.255", "100.128.0.0"]),
        (["127.0.0.0", "127.255.255.255"], ["126.255.255.255", "128.0.0.0"]),
        (["168.63.129.16", "168.63.129.16"], ["168.63.129.15", "168.63.129.17"]),
        (["169.254.0.0", "169.254.255.255"], ["169.253.255.255", "169.255.0.0"]),
        (["172.16.0.0", "172.31.255.255"], ["172.15.255.255", "172.32.0.0"]),
        (["192.0.0.0", "192.0.0.255"], ["191.255.255.255", "192.0.1.0"]),
        (["192.0.2.0", "192.0.2.255"], ["192.0.1.255", "192.0.3.0"]),
        (["192.88.99.0", "192.88.99.255"], ["192.88.98.255", "192.88.100.0"]),
        (["192.168.0.0", "192.168.255.255"], ["192.167.255.255", "192.169.0.0"]),
        (["198.18.0.0", "198.19.255.255"], ["198.17.255.255", "198.20.0.0"]),
        (["198.51.100.0", "198.51.100.255"], ["198.51.99.255", "198.51.101.0"]),
        (["203.0.113.0", "203.0.113.255"], ["203.0.112.255", "203.0.114.0"]),
        (["224.0.0.0", "255.255.255.255"], ["223.255.255.255", "8.8.8.8"]),
        (["::", "1fff:ffff::"], ["2000::", "2606:4700::1111"]),
        (["2001::", "2001:1ff:ffff::"], ["2000:ffff::", "2001:200::"]),
        (["2001:db8::", "2001:db8:ffff::"], ["2001:db7:ffff::", "2001:db9::"]),
        (["2002::", "2002:ffff::"], ["2001:ffff::", "2003::"]),
        (["3fff::", "3fff:fff:ffff::"], ["3ffe:ffff::", "3fff:1000::"]),
        (["4000::", "ffff::"], ["3fff:ffff::", "2a00:1450::"]),
    ] {
        for inside in inside {
            assert!(not_public(address(inside)).is_some(), "{inside}");
        }
        for outside in outside {
            assert_eq!(not_public(address(outside)), None, "{outside}");
        }
    }
}

#[test]
fn a_refusal_says_what_the_address_is() {
    for (text, expected) in [
        ("::ffff:8.8.8.8", "an IPv4 address in disguise"),
        ("::8.8.8.8", "an IPv4 address in disguise"),
        ("::", "this network"),
        ("::1", "this machine"),
        ("64:ff9b::8.8.8.8", "an IPv4 address behind NAT64"),
        ("2001::1", "an IPv4 address behind Teredo"),
        ("2001:20::1", "an address for protocols"),
        ("255.255.255.255", "the broadcast address"),
        ("254.0.0.1", "a reserved address"),
        ("fd00:ec2::254", "a private address"),
        ("fe80::1", "a link-local address"),
        ("fec0::1", "a site-local address"),
        ("6000::1", "not assigned"),
    ] {
        assert_eq!(not_public(address(text)), Some(expected), "{text}");
    }
}

#[test]
fn without_exceptions_there_is_https_to_public_addresses() {
    let reach = Reach::public();
    check(&reach, "https://api.example.com/", true);
    check(&reach, "https://api.example.com.:8443/", true);
    check(&reach, "https://8.8.8.8/", true);
    check(&reach, "https://[2606:4700::1111]/", true);
    check(&reach, "http://api.example.com/", false);
    check(&reach, "http://8.8.8.8/", false);
    check(&reach, "https://10.0.0.1/", false);
    check(&reach, "https://user@api.example.com/", false);
    check(&reach, "https://:password@api.example.com/", false);
    check(&reach, "ftp://api.example.com/", false);
}

#[test]
fn a_server_that_is_named_is_that_server_and_that_port() {
    let reach =
        reach(&["crm.internal:8080", "127.0.0.1:443", "[::1]:8088", "0x7f.2:9", "localhost:1"]);
    check(&reach, "http://crm.internal:8080/", true);
    check(&reach, "https://CRM.internal.:8080/", true);
    check(&reach, "http://crm.internal:8081/", false);
    check(&reach, "http://crm.internal/", false);
    check(&reach, "http://x.crm.internal:8080/", false);
    check(&reach, "https://127.0.0.1/", true);
    check(&reach, "https://2130706433/", true);
    check(&reach, "http://127.0.0.1/", false);
    check(&reach, "http://[::1]:8088/", true);
    check(&reach, "http://[::ffff:127.0.0.1]:443/", false);
    check(&reach, "http://127.0.0.2:9/", true);
    check(&reach, "http://localhost:1/", true);
    check(&reach, "http://localhost:2/", false);
    check(&reach, "http://user@crm.internal:8080/", false);
    // At another port it is a name like any other, which may not lead inside.
    let dial = reach.check(&"https://crm.internal/".parse().unwrap()).unwrap();
    assert!(dial.admits(address("10.0.0.1")).is_err());
    let dial = reach.check(&"https://crm.internal:8080/".parse().unwrap()).unwrap();
    assert_eq!(dial.admits(address("10.0.0.1")), Ok(true));
}

#[test]
fn a_network_that_is_named_admits_what_is_in_it() {
    let reach = reach(&["10.0.0.0/8", "fd12::/16", "8.8.8.0/24"]);
    check(&reach, "https://10.255.0.1:8443/", true);
    check(&reach, "http://10.1.2.3/", true);
    check(&reach, "http://[fd12::7]/", true);
    check(&reach, "http://8.8.8.8/", true);
    check(&reach, "https://11.0.0.1/", true);
    check(&reach, "http://11.0.0.1/", false);
    check(&reach, "https://[::ffff:10.1.2.3]/", false);
    check(&reach, "http://nas.internal/", false);
    let dial = reach.check(&"https://nas.internal/".parse().unwrap()).unwrap();
    assert_eq!(dial.admits(address("10.9.9.9")), Ok(true));
    assert_eq!(dial.admits(address("93.184.215.14")), Ok(false));
    assert!(dial.admits(address("192.168.0.1")).is_err());
    assert!(dial.admits(address("::ffff:10.9.9.9")).is_err());
}

#[test]
fn an_exception_is_a_server_with_a_port_or_a_network() {
    for exception in [
        "",
        "crm.internal",
        "127.0.0.1",
        "[::1]",
        "::1",
        ":80",
        "crm.internal:",
        "crm.internal:0",
        "crm.internal:65536",
        "crm.internal:http",
        "http://crm.internal:80",
        "crm.internal:80/path",
        "user@crm.internal:80",
        "10.0.0.0/33",
        "10.0.0.1/8",
        "::/129",
        "fd12::1/16",
        "10.0.0.0/",
        "10.0.0.0/-1",
        "*:80",
        "a b:80",
    ] {
        let error = Reach::public().and(exception).unwrap_err();
        assert!(error.to_string().contains(&format!("`{exception}`")), "{error}");
    }
    assert!(Reach::public().and("0.0.0.0/0").is_ok(), "it is what it says");
}

#[test]
fn a_reach_is_a_list_in_configuration() {
    let written = r#"["[::1]:8088","crm.internal:80","10.0.0.0/8","fd12::/16"]"#;
    let reach: Reach = serde_json::from_str(written).unwrap();
    let again = serde_json::to_string(&reach).unwrap();
    assert_eq!(serde_json::from_str::<Reach>(&again).unwrap(), reach);
    for exception in ["[::1]:8088", "crm.internal:80", "10.0.0.0/8", "fd12::/16"] {
        assert!(again.contains(&format!("\"{exception}\"")), "{again}");
    }
    assert!(serde_json::from_str::<Reach>(r#"["here"]"#).is_err());
}
