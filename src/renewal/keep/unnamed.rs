//! flow: which names of a run lead nowhere in DNS, so that no order for them can succeed.
//!
//! What is answered from its webroot here proves nothing for a CA that finds no address. Only the
//! name servers' own word counts: who does not answer, or fails, says nothing of a name.

use std::net::IpAddr;
use std::time::Duration;

use crate::base::clock::Deadline;
use crate::base::names::{Hostname, Route};
use crate::base::threads;
use crate::ca::dns::Nameservers;
use crate::ca::resolve::{Resolve, System};
use crate::switch::challenge_proof::Error;
use crate::switch::order::LeftOutRoute;

/// Those of `routes` whose names have no address, each with its reason; in `time`, beyond which
/// nothing is known.
pub(super) fn unnamed(routes: &[Route], time: Duration) -> Vec<LeftOutRoute> {
    let servers = match Nameservers::system() {
        Ok(servers) => servers,
        Err(error) => {
            tracing::info!("no name is looked up: {error}");
            return Vec::new();
        }
    };
    let deadline = Deadline::after(time.min(ALL));
    absent(routes, &servers, &System, &deadline)
}

fn absent(
    routes: &[Route],
    servers: &Nameservers,
    system: &(impl Resolve + Sync),
    deadline: &Deadline,
) -> Vec<LeftOutRoute> {
    let is_absent = |name: &Hostname| {
        // What only this host's own files or network say is for a CA that is there too; but
        // Debian's `127.0.1.1` leads to nobody else.
        servers.denies(name, deadline)
            && system.addresses(name, deadline).map_or(true, |a| a.iter().all(IpAddr::is_loopback))
    };
    let told = |route: &Route| {
        let error = Error::NotInDns(route.name.clone());
        is_absent(&route.name).then(|| LeftOutRoute::by(route.clone(), &error))
    };
    let at_once = routes.chunks(AT_ONCE).map(|some| threads::each("names", some, told));
    at_once.flatten().flatten().collect()
}

/// For all names.
const ALL: Duration = Duration::from_secs(5);

/// Names that are looked up side by side.
const AT_ONCE: usize = 16;

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::UdpSocket;

    use super::*;
    use crate::base::names::Webroot;

    /// A name server that answers by the first letter of the name.
    fn server() -> Nameservers {
        const AAAA: u8 = 28;
        let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let servers = Nameservers::these(vec![socket.local_addr().unwrap()]);
        let answer = move || {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let mut reply = buffer[..length].to_vec();
                let is_v6 = reply[length - 3] == AAAA;
                reply[2] |= 0x80;
                reply[3] |= match reply[13] {
                    b'g' => 3,               // NXDOMAIN
                    b'f' => 2,               // SERVFAIL
                    b'h' if is_v6 => 2,      // of one kind
                    b'h' | b'b' | b't' => 0, // no such record
                    _ => continue,           // no answer
                };
                if reply[13] == b't' && !is_v6 {
                    reply[7] = 1;
                    reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
                }
                socket.send_to(&reply, from).unwrap();
            }
        };
        threads::start("server", answer).unwrap();
        servers
    }

    struct Says(Option<&'static str>);

    impl Resolve for Says {
        fn addresses(&self, _: &Hostname, _: &Deadline) -> io::Result<Vec<IpAddr>> {
            let found = self.0.ok_or_else(|| io::Error::other("no such name"))?;
            Ok(vec![found.parse().unwrap()])
        }
    }

    #[test]
    fn only_a_name_that_the_servers_say_has_no_address_is_left_out() {
        let route = |name: &&str| {
            let (name, webroot) = (Hostname::parse(name).unwrap(), Webroot::parse("/www").unwrap());
            Route { name, webroot }
        };
        let names = ["gone.example", "bare.example", "there.example"];
        let unheard = ["fails.example", "half.example", "mute.example"];
        let routes: Vec<Route> = names.iter().chain(&unheard).map(route).collect();
        let servers = server();
        let left = |system: Option<&'static str>| {
            let deadline = Deadline::after(Duration::from_millis(500));
            let left = absent(&routes, &servers, &Says(system), &deadline);
            left.into_iter().map(|left| left.why).collect::<Vec<_>>()
        };
        let why = |name| {
            format!(
                "{name} has no address in DNS: the CA cannot reach it; publish A or AAAA records"
            )
        };
        let expected = names[..2].iter().map(why).collect::<Vec<_>>();
        assert_eq!(left(None), expected);
        assert_eq!(left(Some("127.0.1.1")), expected, "Debian's own line of /etc/hosts");
        assert!(left(Some("192.168.0.7")).is_empty(), "a CA of one's own may see it so");
    }
}
