//! Can the address be listened on, and if not, who has it?

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use super::check::Check;

/// Whoever has the port gets so long to say what it is.
const PATIENCE: Duration = Duration::from_secs(1);
/// What a goldilocks says, with keys and without, and others do not.
const OUR_MARKS: [&str; 2] = ["worker_silent_seconds", "invalid_api_key"];

/// Whether `serve` could listen there.
pub(super) fn port(listen: SocketAddr) -> Check {
    match TcpListener::bind(listen).map(drop) {
        Ok(()) => Check::ok("port", format!("{listen} is free")),
        Err(error) => {
            let is_ours = error.kind() == ErrorKind::AddrInUse && is_goldilocks(listen);
            judge_port(listen, &error, is_ours)
        }
    }
}

fn judge_port(listen: SocketAddr, error: &std::io::Error, is_ours: bool) -> Check {
    match error.kind() {
        ErrorKind::AddrInUse if is_ours => Check::warn(
            "port",
            format!("a goldilocks answers at {listen} already"),
            "nothing, if it is the one that is meant; else stop it, or choose another --listen",
        ),
        ErrorKind::AddrInUse => Check::fail(
            "port",
            format!("something else listens on {listen}"),
            format!(
                "stop it (`ss -ltnp 'sport = :{}'` names it), or choose another --listen",
                listen.port()
            ),
        ),
        ErrorKind::PermissionDenied => Check::fail(
            "port",
            format!("{listen} may not be listened on: {error}"),
            "ports below 1024 need CAP_NET_BIND_SERVICE; choose a higher one with --listen",
        ),
        _ => Check::fail(
            "port",
            format!("{listen} cannot be listened on: {error}"),
            "choose an address of this machine with --listen, or 0.0.0.0 for all of them",
        ),
    }
}

fn is_goldilocks(listen: SocketAddr) -> bool {
    let reachable = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let address = SocketAddr::new(reachable, listen.port());
    asked(address).is_ok_and(|reply| OUR_MARKS.iter().any(|mark| reply.contains(mark)))
}

fn asked(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET /livez HTTP/1.0\r\nhost: {address}\r\n\r\n")?;
    let mut reply = String::new();
    stream.take(64 * 1024).read_to_string(&mut reply)?;
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::check::Level;

    #[test]
    fn a_port_that_somebody_has_fails_unless_it_is_a_goldilocks() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let check = port(address);
        assert_eq!(check.level, Level::Fail, "{check:?}");
        let in_use = ErrorKind::AddrInUse.into();
        assert_eq!(judge_port(address, &in_use, true).level, Level::Warn);
        drop(taken);
        assert_eq!(port(address).level, Level::Ok);
    }

    #[test]
    fn an_address_that_is_not_ours_and_a_port_that_is_not_allowed_fail() {
        let elsewhere = port("192.0.2.1:80".parse().unwrap());
        assert_eq!(elsewhere.level, Level::Fail, "{elsewhere:?}");
        let denied = ErrorKind::PermissionDenied.into();
        let check = judge_port("0.0.0.0:80".parse().unwrap(), &denied, false);
        assert!(check.remedy.unwrap().contains("higher"));
    }
}
