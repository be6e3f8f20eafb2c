//! pure: two hosts that want the lease, one arbiter, and all that can go wrong between them.
//!
//! A connection keeps the order of its words, as TCP does: a lost word is a cut
//! after which nothing arrives, a late one is any number of other steps before
//! its own, a repeated one is the same request on a new connection. A holder is
//! effective while its own clock says that it holds, and, after it was suspended,
//! once the arbiter confirmed something that it said since.

use std::collections::VecDeque;
use std::time::Duration;

use certbaton::base::process::Process;
use certbaton::lease::holder::{Action, Greeting, Holder, HolderEvent, HolderWord, Patience};
use certbaton::lease::memory::{Memory, Now, Recorded, millis};
use certbaton::lease::rules::{self, Claim, Ruling};
use certbaton::lease::times;
use certbaton::lease::wire::{ArbiterAnswer, Purpose, RequestId, Token, VERSION, Waiting};

use crate::model::search::System;

/// Whether the arbiter compares the token of who speaks with the one it granted last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fence {
    Compared,
    Ignored,
}

/// The rules of the search.
pub(crate) struct World {
    fence: Fence,
    /// At most so many faults on any way.
    faults: u8,
    /// Which can happen.
    kinds: Kinds,
}

/// Which faults can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kinds {
    All,
    /// A host, its clock with it, stands still: what no lease alone can help against.
    Freezing,
}

/// Everything there is at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// The arbiter's clock; a host's differs by its own `behind`.
    now: Duration,
    hosts: [Host; HOSTS],
    lines: [Option<Line>; HOSTS],
    memory: Memory,
    /// Waiters, first come first.
    queue: VecDeque<usize>,
    /// Connections so far.
    made: i32,
    boots: u32,
    faults: u8,
    /// The highest token that was granted.
    highest: Token,
    /// A grant that was not above all before it.
    fell: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Host {
    /// `None`: crashed, or done.
    machine: Option<Holder>,
    request: u32,
    floor: Token,
    awake: bool,
    /// What its clock missed.
    behind: Duration,
    frozen: bool,
    /// Since it woke it heard, in answer to something it said since, that it holds.
    sure: bool,
    /// Beats said, and how many of them before it last woke.
    beats: u64,
    before: u64,
    done: u8,
}

/// A connection: what is under way on it, and the arbiter's process at its end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Line {
    number: i32,
    up: VecDeque<Up>,
    down: VecDeque<Down>,
    end: End,
    /// Nothing that is said now arrives, and nobody is told.
    cut: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Up {
    Word(HolderWord),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Down {
    Hello,
    Said(ArbiterAnswer),
    Ended,
}

/// The arbiter's process.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum End {
    Idle,
    Waiting(Claim),
    Holding(Token),
    Gone,
}

/// What can happen.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Time passes for all.
    Tick,
    /// All that is on its way from this host arrives.
    Up(usize),
    /// All that is on its way to this host arrives.
    Down(usize),
    /// The arbiter looks at the first who waits.
    Look(usize),
    /// The host is done.
    Release(usize),
    /// A host that was done, or crashed, wants the lease again.
    Want(usize),
    /// Faults.
    Cut(usize),
    Sleep(usize),
    Freeze(usize),
    Wake(usize),
    Crash(usize),
    KillArbiter(usize),
    Boot,
}

const HOSTS: usize = 2;

/// A step of time: a beat at each, the holder's deadline after two, the arbiter's after three.
const TICK: Duration = Duration::from_secs(2 * times::BEAT.as_secs());

impl World {
    pub(crate) fn new(fence: Fence, faults: u8, kinds: Kinds) -> Self {
        Self { fence, faults, kinds }
    }
}

fn name(host: usize) -> String {
    ["home", "vps"][host].to_owned()
}

fn request(host: usize, number: u32) -> RequestId {
    RequestId(format!("{host}.{number}"))
}

impl State {
    fn new() -> Self {
        let host = Host {
            machine: None,
            request: 0,
            floor: Token(0),
            awake: true,
            behind: Duration::ZERO,
            frozen: false,
            sure: true,
            beats: 0,
            before: 0,
            done: 0,
        };
        let memory = Memory {
            boot: "0".into(),
            grant: Recorded::Missing,
            token: Recorded::Missing,
            revoked: None,
        };
        let mut state = Self {
            now: Duration::from_secs(1000),
            hosts: [host.clone(), host],
            lines: [None, None],
            memory,
            queue: VecDeque::new(),
            made: 0,
            boots: 0,
            faults: 0,
            highest: Token(0),
            fell: false,
        };
        for host in 0..HOSTS {
            state.want(host);
        }
        state
    }

    fn clock(&self, host: usize) -> Duration {
        self.now.saturating_sub(self.hosts[host].behind)
    }

    fn time(&self) -> Now {
        Now { boot: millis(self.now), unix: 0 }
    }

    fn want(&mut self, host: usize) {
        let (now, patience) =
            (self.clock(host), Patience::new(times::ARBITER, Duration::from_mins(20)));
        let this = &mut self.hosts[host];
        this.request += 1;
        this.sure = true;
        (this.beats, this.before) = (0, 0);
        this.machine = Some(Holder::new(now, patience, this.floor, 0));
        self.tell(host, HolderEvent::Tick);
    }

    /// An event for a host's machine, and what comes of it.
    fn tell(&mut self, host: usize, event: HolderEvent) {
        let now = self.clock(host);
        let Some(machine) = &mut self.hosts[host].machine else { return };
        let actions = machine.step(now, event);
        if machine.is_over() {
            self.hosts[host].machine = None;
        }
        for action in actions {
            match action {
                Action::Connect => self.connect(host),
                Action::Close => self.close(host),
                Action::Say(word) => {
                    if let HolderWord::Beat(number) = word {
                        self.hosts[host].beats = number;
                    }
                    if let Some(line) = self.lines[host].as_mut().filter(|line| !line.cut) {
                        line.up.push_back(Up::Word(word));
                    }
                }
                Action::Seen(token) => self.hosts[host].floor = token,
                Action::Granted(_)
                | Action::Waiting(_)
                | Action::Lost(_)
                | Action::Released
                | Action::GiveUp(_)
                | Action::Warn(_) => {}
            }
        }
    }

    fn connect(&mut self, host: usize) {
        self.close(host);
        self.made += 1;
        let number = self.made;
        let (up, down) = (VecDeque::new(), VecDeque::from([Down::Hello]));
        self.lines[host] = Some(Line { number, up, down, end: End::Idle, cut: false });
    }

    /// The arbiter's end dies with it; a half-open one is `cut`.
    fn close(&mut self, host: usize) {
        self.lines[host] = None;
        self.queue.retain(|waiter| *waiter != host);
    }

    fn answer(&mut self, host: usize, answer: ArbiterAnswer) {
        if let Some(line) = self.lines[host].as_mut().filter(|line| !line.cut) {
            line.down.push_back(Down::Said(answer));
        }
    }

    fn heard(&mut self, host: usize, down: Down) {
        match down {
            Down::Hello => {
                self.tell(
                    host,
                    HolderEvent::Hello(Greeting { version: VERSION, grace: times::ARBITER }),
                );
            }
            Down::Ended => {
                self.close(host);
                self.tell(host, HolderEvent::Ended);
            }
            Down::Said(answer) => {
                let this = &mut self.hosts[host];
                this.sure |= match &answer {
                    ArbiterAnswer::Beaten { number } => *number > this.before,
                    _ => false,
                };
                self.tell(host, HolderEvent::Said(answer));
            }
        }
    }

    fn process(&self, host: usize) -> Process {
        let pid = self.lines[host].as_ref().map_or(0, |line| line.number);
        Process { pid, start_time: 0 }
    }

    /// What the arbiter's process of this host does with a word.
    fn hear(&mut self, host: usize, word: HolderWord, fence: Fence) {
        let end = self.lines[host].as_ref().map_or(End::Gone, |line| line.end.clone());
        match (word, end) {
            (HolderWord::Acquire { floor, held }, End::Idle) => {
                let held = held.map(|held| match (fence, &self.memory.grant) {
                    (Fence::Ignored, Recorded::Known(grant)) => grant.token,
                    _ => held,
                });
                let claim = Claim {
                    name: name(host),
                    request: request(host, self.hosts[host].request),
                    floor,
                    held,
                    purpose: Purpose::default(),
                    since: millis(self.now),
                    connection: self.process(host),
                };
                if held.is_none() {
                    self.queue.push_back(host);
                }
                self.decide(host, claim);
            }
            (HolderWord::Beat(number), End::Holding(token)) => {
                let (token, connection) = match (fence, &self.memory.grant) {
                    (Fence::Ignored, Recorded::Known(grant)) => (grant.token, grant.connection),
                    _ => (token, self.process(host)),
                };
                let beaten =
                    rules::beat(&self.memory, token, connection, self.time(), times::ARBITER);
                match beaten {
                    Ok(grant) => {
                        self.memory.grant = Recorded::Known(grant);
                        self.answer(host, ArbiterAnswer::Beaten { number });
                    }
                    Err(why) => {
                        self.end(host, End::Idle);
                        self.answer(host, ArbiterAnswer::Lost { why });
                    }
                }
            }
            (HolderWord::Beat(number), End::Waiting(_)) => {
                self.answer(host, ArbiterAnswer::Beaten { number });
            }
            (HolderWord::Release, End::Holding(token)) => {
                let connection = self.process(host);
                if let Ok(grant) = rules::release(&self.memory, token, connection, self.time()) {
                    self.memory.grant = Recorded::Known(grant);
                }
                self.end(host, End::Idle);
                self.answer(host, ArbiterAnswer::Released);
            }
            (HolderWord::Release, End::Waiting(_)) => {
                self.queue.retain(|waiter| *waiter != host);
                self.end(host, End::Idle);
                self.answer(host, ArbiterAnswer::Released);
            }
            _ => {}
        }
    }

    fn end(&mut self, host: usize, end: End) {
        if let Some(line) = &mut self.lines[host] {
            line.end = end;
        }
    }

    fn decide(&mut self, host: usize, claim: Claim) {
        let before = self.queue.iter().position(|waiter| *waiter == host);
        match rules::claim(&self.memory, &claim, before, self.time(), times::ARBITER) {
            Ruling::Granted { grant, .. } => {
                self.fell |= grant.token <= self.highest;
                self.highest = self.highest.max(grant.token);
                let token = grant.token;
                self.memory.token = Recorded::Known(token);
                self.memory.grant = Recorded::Known(grant);
                self.queue.retain(|waiter| *waiter != host);
                self.end(host, End::Holding(token));
                self.answer(host, ArbiterAnswer::Granted { token });
            }
            Ruling::Confirmed(grant) => {
                let token = grant.token;
                self.memory.grant = Recorded::Known(grant);
                self.queue.retain(|waiter| *waiter != host);
                self.end(host, End::Holding(token));
                self.answer(host, ArbiterAnswer::Granted { token });
            }
            Ruling::Quarantined(grant) => {
                self.memory.grant = Recorded::Known(grant);
                self.wait(host, claim);
            }
            Ruling::Wait { .. } => self.wait(host, claim),
            Ruling::Lost(why) => self.answer(host, ArbiterAnswer::Lost { why }),
            Ruling::Refused(why) => self.answer(host, ArbiterAnswer::Refused { why }),
        }
    }

    fn wait(&mut self, host: usize, claim: Claim) {
        let told = self.lines[host].as_ref().is_some_and(|l| matches!(l.end, End::Waiting(_)));
        self.end(host, End::Waiting(claim));
        if !told {
            let reason = Waiting::Behind { waiters: 0, holder: None };
            self.answer(host, ArbiterAnswer::Waiting { reason });
        }
    }

    fn tick(&mut self) {
        self.now += TICK;
        for host in 0..HOSTS {
            if self.hosts[host].frozen {
                self.hosts[host].behind += TICK;
            }
            if self.hosts[host].awake {
                self.tell(host, HolderEvent::Tick);
            }
        }
    }

    fn wake(&mut self, host: usize) {
        let this = &mut self.hosts[host];
        (this.awake, this.frozen, this.sure) = (true, false, false);
        this.before = this.beats;
        self.tell(host, HolderEvent::Tick);
    }

    fn boot(&mut self) {
        self.boots += 1;
        self.memory.boot = self.boots.to_string();
        self.memory.grant = Recorded::Missing;
        for host in 0..HOSTS {
            self.kill(host);
        }
    }

    /// The arbiter's process of this host dies.
    fn kill(&mut self, host: usize) {
        self.queue.retain(|waiter| *waiter != host);
        if let Some(line) = &mut self.lines[host] {
            line.end = End::Gone;
            line.up.clear();
            if !line.cut {
                line.down.push_back(Down::Ended);
            }
        }
    }

    fn effective(&self, host: usize) -> Option<Token> {
        let this = &self.hosts[host];
        this.machine.as_ref()?.holds().filter(|_| this.awake && this.sure)
    }

    fn apply(&self, step: &Step, fence: Fence) -> Self {
        let mut next = self.clone();
        match *step {
            Step::Tick => next.tick(),
            Step::Up(host) => {
                let words = next.lines[host].as_mut().map(|line| std::mem::take(&mut line.up));
                for Up::Word(word) in words.unwrap_or_default() {
                    next.hear(host, word, fence);
                }
            }
            Step::Down(host) => {
                let number = next.lines[host].as_ref().map(|line| line.number);
                let words = next.lines[host].as_mut().map(|line| std::mem::take(&mut line.down));
                for down in words.unwrap_or_default() {
                    // What it leads to may have ended the connection that the rest came on.
                    if next.lines[host].as_ref().map(|line| line.number) == number {
                        next.heard(host, down);
                    }
                }
            }
            Step::Look(host) => {
                let end = next.lines[host].as_ref().map(|line| line.end.clone());
                if let Some(End::Waiting(claim)) = end {
                    next.decide(host, claim);
                }
            }
            Step::Release(host) => {
                next.hosts[host].done += 1;
                next.tell(host, HolderEvent::Release);
            }
            Step::Want(host) => next.want(host),
            _ => next.suffer(step),
        }
        next
    }

    fn suffer(&mut self, step: &Step) {
        self.faults += u8::from(!matches!(step, Step::Wake(_)));
        match *step {
            Step::Cut(host) => {
                if let Some(line) = &mut self.lines[host] {
                    line.cut = true;
                    line.up.clear();
                    line.down.clear();
                }
            }
            Step::Sleep(host) => self.hosts[host].awake = false,
            Step::Freeze(host) => {
                (self.hosts[host].awake, self.hosts[host].frozen) = (false, true);
            }
            Step::Wake(host) => self.wake(host),
            Step::Crash(host) => {
                self.hosts[host].machine = None;
                self.close(host);
            }
            Step::KillArbiter(host) => self.kill(host),
            Step::Boot => self.boot(),
            _ => {}
        }
    }
}

impl System for World {
    type State = State;
    type Step = Step;

    fn begin(&self) -> State {
        State::new()
    }

    fn steps(&self, state: &State) -> Vec<(Step, State)> {
        let mut steps = vec![Step::Tick];
        let (faulty, all) = (state.faults < self.faults, self.kinds == Kinds::All);
        for host in 0..HOSTS {
            let this = &state.hosts[host];
            if let Some(line) = &state.lines[host] {
                let first = state.queue.front() == Some(&host);
                steps.extend((!line.up.is_empty()).then_some(Step::Up(host)));
                steps.extend((!line.down.is_empty() && this.awake).then_some(Step::Down(host)));
                let looks = first && matches!(line.end, End::Waiting(_));
                steps.extend(looks.then_some(Step::Look(host)));
                if faulty && all && !line.cut {
                    steps.extend([Step::Cut(host), Step::KillArbiter(host)]);
                }
            }
            let holds = this.machine.as_ref().is_some_and(|machine| machine.holds().is_some());
            steps.extend((this.awake && holds).then_some(Step::Release(host)));
            steps.extend((this.machine.is_none() && this.done == 0).then_some(Step::Want(host)));
            if this.awake && faulty && this.machine.is_some() {
                steps.push(Step::Freeze(host));
                steps.extend(
                    all.then_some([Step::Sleep(host), Step::Crash(host)]).into_iter().flatten(),
                );
            }
            steps.extend((!this.awake).then_some(Step::Wake(host)));
        }
        steps.extend((faulty && all).then_some(Step::Boot));
        steps.into_iter().map(|step| (step.clone(), state.apply(&step, self.fence))).collect()
    }

    fn fault(&self, state: &State) -> Option<String> {
        let holders: Vec<Token> = (0..HOSTS).filter_map(|host| state.effective(host)).collect();
        if holders.len() > 1 {
            return Some(format!("two effective holders: {holders:?}"));
        }
        state.fell.then(|| "a token that was granted before".to_owned())
    }
}

/// The same world, where a state is bad if somebody starves from there although nothing fails any more.
pub(crate) struct Healed(pub(crate) World);

impl System for Healed {
    type State = State;
    type Step = Step;

    fn begin(&self) -> State {
        self.0.begin()
    }

    fn steps(&self, state: &State) -> Vec<(Step, State)> {
        self.0.steps(state)
    }

    fn fault(&self, state: &State) -> Option<String> {
        starving(state.clone(), self.0.fence)
    }
}

/// Who never gets the lease, once all are awake and everything that is under way arrives.
fn starving(mut state: State, fence: Fence) -> Option<String> {
    for host in 0..HOSTS {
        if !state.hosts[host].awake {
            state.wake(host);
        }
    }
    let mut had = [false; HOSTS];
    // A host that was done is asked nothing; one that crashed wants it again.
    let wants: Vec<usize> = (0..HOSTS).filter(|host| state.hosts[*host].done == 0).collect();
    for _ in 0..60 {
        for (host, had) in had.iter().enumerate() {
            if state.hosts[host].machine.is_none() && state.hosts[host].done == 0 && !had {
                state.want(host);
            }
        }
        for _ in 0..6 {
            for (host, had) in had.iter_mut().enumerate() {
                for step in [Step::Up(host), Step::Down(host), Step::Look(host)] {
                    state = state.apply(&step, fence);
                }
                let holds = state.hosts[host].machine.as_ref().and_then(Holder::holds).is_some();
                if holds {
                    *had = true;
                    state = state.apply(&Step::Release(host), fence);
                }
            }
        }
        if wants.iter().all(|host| had[*host]) {
            return None;
        }
        state.tick();
    }
    Some(format!("somebody starves: {had:?}"))
}
