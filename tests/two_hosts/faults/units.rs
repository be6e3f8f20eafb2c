//! flow: what systemd grants certbaton's units is more than twice what they need on a host with much to look at.

use std::fs;
use std::time::{Duration, Instant};

use crate::host::Host;
use crate::lab::Lab;
use crate::lease::ONE;
use crate::scenario::Certbots::Debians;
use crate::scenario::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario::new(
    "a_unit_needs_less_than_half_of_its_limits_with_1000_vhosts_and_50_lineages",
    Debians,
    limits,
)];

/// The most that was seen of a unit.
#[derive(Debug, Default)]
struct Peak {
    tasks: u64,
    kibibytes: u64,
    took: Duration,
}

fn limits(lab: &Lab) {
    let home = &lab.home;
    for host in [home, &lab.vps] {
        host.directory_hooks();
    }
    let vhost = |n: u32| {
        format!(
            "<VirtualHost *:80>\n  ServerName n{n}.example.org\n  \
             ProxyPass /.well-known/acme-challenge/ http://vps.example.org/.well-known/acme-challenge/\n  \
             ProxyPass / http://localhost:8080/\n</VirtualHost>\n"
        )
    };
    home.site("many", &(1..=1000).map(vhost).collect::<String>());
    home.reload();
    lab.note();
    // Lineages that are not due: looked at by every run, and renewed by none.
    home.sh("cd /etc/letsencrypt
         for n in $(seq 50); do
             name=n$n.example.org
             mkdir -p live/$name archive/$name
             openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 89 -subj /CN=$name \\
                 -addext subjectAltName=DNS:$name -keyout archive/$name/privkey1.pem -out archive/$name/cert1.pem 2> /dev/null
             cp archive/$name/cert1.pem archive/$name/chain1.pem; cp archive/$name/cert1.pem archive/$name/fullchain1.pem
             for part in cert chain fullchain privkey; do ln -s ../../archive/$name/${part}1.pem live/$name/$part.pem; done
             sed \"s/git\\.example\\.org/$name/g\" renewal/git.example.org.conf > renewal/$name.conf
         done");
    let drop_in = "/run/systemd/system/certbaton-renew.service.d";
    home.sh(&format!("mkdir -p {drop_in}"));
    let text = format!(
        "[Service]\nExecStart=\nExecStart=/usr/bin/renew-coordinate --force-renewal {}\n",
        ONE.join(" ")
    );
    home.write(&format!("{drop_in}/force.conf"), &text);
    home.sh("systemctl daemon-reload");
    let since = lab.ca.mark();
    let renewing = peak(home, "certbaton-renew.service");
    home.sh(&format!("rm -r {drop_in}; systemctl daemon-reload; systemctl reset-failed"));
    lab.expect_issued(since, 2);
    home.sh("certbaton switch local wiki.example.org > /dev/null");
    let recovering = peak(home, "certbaton-recover.service");
    for (unit, peak) in
        [("certbaton-renew.service", renewing), ("certbaton-recover.service", recovering)]
    {
        println!("{unit}: {peak:?}");
        let limit = |key: &str| {
            let show = format!("systemctl show -p {key} --value {unit}");
            home.sh(&show).parse::<u64>().unwrap_or_else(|_| panic!("{unit} has no {key}"))
        };
        assert!(peak.tasks > 0 && peak.kibibytes > 0, "{unit} was not seen: {peak:?}");
        assert!(peak.tasks * 2 < limit("TasksMax"), "{unit}: {peak:?}");
        assert!(peak.kibibytes * 1024 * 2 < limit("MemoryMax"), "{unit}: {peak:?}");
        let patience = home.sh(&format!(
            "systemd-analyze --man=no timespan \"$(systemctl show -p TimeoutStartUSec --value {unit})\" | sed -n 's/.*s: //p'"
        ));
        let patience = Duration::from_micros(patience.trim().parse().unwrap());
        assert!(peak.took * 2 < patience, "{unit}: {peak:?} of {patience:?}");
    }
}

/// Starts `unit` and looks at its processes until it has ended: all threads, and of each process the most memory
/// that it ever had.
fn peak(host: &Host, unit: &str) -> Peak {
    let procs = host.path(&format!("/sys/fs/cgroup/system.slice/{unit}/cgroup.procs"));
    let began = Instant::now();
    let done = std::thread::scope(|scope| {
        let run = scope.spawn(|| host.run(&["systemctl", "start", unit]));
        let mut peak = Peak::default();
        while !run.is_finished() {
            let (mut tasks, mut kibibytes) = (0, 0);
            for pid in fs::read_to_string(&procs).unwrap_or_default().lines() {
                let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
                let value = |key: &str| {
                    let line = status.lines().find_map(|line| line.strip_prefix(key));
                    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
                    number.unwrap_or(0_u64)
                };
                tasks += value("Threads:");
                kibibytes += value("VmHWM:");
            }
            peak.tasks = peak.tasks.max(tasks);
            peak.kibibytes = peak.kibibytes.max(kibibytes);
            std::thread::sleep(Duration::from_millis(2));
        }
        peak.took = began.elapsed();
        peak
    });
    // What it ends with is another matter: these lineages are served by nobody.
    let result = host.sh(&format!("systemctl show -p Result --value {unit}"));
    assert!(["success", "exit-code"].contains(&&*result), "{unit}: {result}");
    done
}
