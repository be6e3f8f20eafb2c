//! system: a place for an arbiter, and callers that speak its words.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use certbaton::lease::wire::{
    self, ArbiterAnswer, Ask, Hello, LeaseState, Purpose, RequestId, Token,
};

/// No wait of a test is longer.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The directories of one arbiter.
pub(crate) struct Place {
    directory: tempfile::TempDir,
}

/// One connection.
pub(crate) struct Caller {
    pub(crate) child: Child,
    input: Option<ChildStdin>,
    answers: Receiver<ArbiterAnswer>,
}

impl Place {
    /// With this grace.
    pub(crate) fn with(grace: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path().display().to_string();
        let text = format!(
            "state-directory = \"{at}/state\"\nruntime-directory = \"{at}/run\"\n[lease]\ngrace = \"{grace}\"\n"
        );
        fs::write(directory.path().join("config.toml"), text).unwrap();
        Self { directory }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The file `name` of the arbiter's memory.
    pub(crate) fn memory(&self, name: &str) -> PathBuf {
        self.path("run/arbiter").join(name)
    }

    /// The name of each file that is there, the queue's included.
    pub(crate) fn files(&self) -> Vec<String> {
        let names = |path: &Path| {
            let entries = fs::read_dir(path).unwrap();
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
        };
        let mut all = names(&self.path("run/arbiter"));
        all.extend(names(&self.memory("queue")));
        all.extend(names(&self.path("state/arbiter")));
        all.retain(|name| name != "queue" && name != "callers");
        all.sort();
        all
    }

    /// Connects, as the user that the tests run as.
    pub(crate) fn connect(&self, name: &str) -> Caller {
        let mut caller = self.start(name);
        let mut hello = String::new();
        let mut output = BufReader::new(caller.child.stdout.take().unwrap());
        output.read_line(&mut hello).unwrap();
        let hello: Hello = wire::word(hello.as_bytes()).unwrap();
        assert_eq!((hello.version, hello.caller.as_str()), (wire::VERSION, name));
        let (sender, answers) = channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(wire::word(line.as_bytes()).unwrap()).is_err() {
                    break;
                }
            }
        });
        caller.answers = answers;
        caller
    }

    fn start(&self, name: &str) -> Caller {
        let mut child = Command::new(env!("CARGO_BIN_EXE_certbaton"))
            .arg("--config")
            .arg(self.path("config.toml"))
            .args(["serve", "--as", name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        Caller { child, input, answers: channel().1 }
    }

    /// Connects and asks for the lease.
    pub(crate) fn acquire(&self, name: &str, request: &str) -> Caller {
        let mut caller = self.connect(name);
        caller.acquire(request, None);
        caller
    }

    /// Connects and gets the lease.
    pub(crate) fn held(&self, name: &str, request: &str) -> (Caller, Token) {
        let mut caller = self.acquire(name, request);
        let token = caller.granted();
        (caller, token)
    }

    /// Who holds and who waits.
    pub(crate) fn status(&self) -> LeaseState {
        let mut caller = self.connect("status");
        caller.say(&Ask::Status);
        match caller.hear() {
            ArbiterAnswer::Status(status) => status,
            other => panic!("{other:?}"),
        }
    }
}

impl Caller {
    /// Whether it could be said.
    pub(crate) fn say(&mut self, ask: &Ask) -> bool {
        self.write(&wire::line(ask).unwrap())
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> bool {
        self.input.as_mut().is_some_and(|input| input.write_all(bytes).is_ok())
    }

    pub(crate) fn acquire(&mut self, request: &str, held: Option<Token>) -> bool {
        self.acquire_above(request, held, Token(0))
    }

    pub(crate) fn acquire_above(
        &mut self,
        request: &str,
        held: Option<Token>,
        floor: Token,
    ) -> bool {
        let purpose = Purpose { host: "test".into(), pid: 1, why: "because".into() };
        let request = RequestId(request.into());
        self.say(&Ask::Acquire { request, floor, held, purpose })
    }

    pub(crate) fn beat(&mut self, number: u64) -> bool {
        self.say(&Ask::Beat { number })
    }

    /// The next answer within the time; an error when the arbiter has gone.
    pub(crate) fn answer(&self, patience: Duration) -> Result<ArbiterAnswer, RecvTimeoutError> {
        self.answers.recv_timeout(patience)
    }

    /// The next answer.
    pub(crate) fn hear(&self) -> ArbiterAnswer {
        self.answer(PATIENCE).unwrap()
    }

    /// The next answer that is not `Waiting`; says that it is there meanwhile.
    pub(crate) fn outcome(&mut self) -> ArbiterAnswer {
        let end = Instant::now() + PATIENCE;
        let mut beats = 0;
        while Instant::now() < end {
            match self.hear() {
                ArbiterAnswer::Waiting { .. } => {
                    self.beat(u64::MAX - beats);
                    beats += 1;
                }
                ArbiterAnswer::Beaten { number } if number > u64::MAX / 2 => {}
                other => return other,
            }
        }
        panic!("it waits too long");
    }

    pub(crate) fn granted(&mut self) -> Token {
        match self.outcome() {
            ArbiterAnswer::Granted { token } => token,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn release(&mut self) {
        self.say(&Ask::Release);
        assert_eq!(self.outcome(), ArbiterAnswer::Released);
    }

    /// Waits for the end of the arbiter.
    pub(crate) fn ended(&mut self) -> bool {
        let end = Instant::now() + PATIENCE;
        while self.child.try_wait().unwrap().is_none() {
            if Instant::now() > end {
                return false;
            }
            thread::sleep(Duration::from_millis(5));
        }
        true
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Closes what the arbiter reads.
    pub(crate) fn hang_up(&mut self) {
        self.input = None;
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
