//! system: threads, which can fail to start, and whose panic is everybody's.
//!
//! `clippy.toml` forbids what std offers for both: `thread::spawn` panics where
//! a limit of processes is reached (EAGAIN of clone(2)), which aborts a release
//! build half-way through a switch; and there no join ever sees a panic.

use std::io;
use std::panic::resume_unwind;
use std::thread::{Builder, JoinHandle, Scope, ScopedJoinHandle};

/// A thread of its own.
#[derive(Debug)]
pub struct Thread<T>(JoinHandle<T>);

/// A thread that ends before what it borrows does.
#[derive(Debug)]
pub struct Scoped<'scope, T>(ScopedJoinHandle<'scope, T>);

/// Starts `work`; dropped, the thread goes on.
pub fn start<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Thread<T>> {
    Ok(Thread(Builder::new().name(name.to_owned()).spawn(work)?))
}

/// Starts `work` on a thread that ends within `scope`.
pub fn scoped<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> io::Result<Scoped<'scope, T>> {
    Ok(Scoped(Builder::new().name(name.to_owned()).spawn_scoped(scope, work)?))
}

/// Does `work` for each of `items`, at once as far as there are threads, in their order.
pub fn each<I: Sync, T: Send>(name: &str, items: &[I], work: impl Fn(&I) -> T + Sync) -> Vec<T> {
    let work = &work;
    std::thread::scope(|scope| {
        let started: Vec<_> =
            items.iter().map(|item| (item, scoped(scope, name, move || work(item)))).collect();
        // What cannot be done beside is done in turn.
        let done = |(item, thread): (&I, io::Result<Scoped<'_, T>>)| {
            thread.map_or_else(|_| work(item), Scoped::wait)
        };
        started.into_iter().map(done).collect()
    })
}

/// Does `beside` and `work`, at once if there is a thread for it.
pub fn both<A: Send, B>(
    name: &str,
    beside: impl Fn() -> A + Sync,
    work: impl FnOnce() -> B,
) -> (A, B) {
    let beside = &beside;
    std::thread::scope(|scope| {
        let thread = scoped(scope, name, beside);
        let done = work();
        (thread.map_or_else(|_| beside(), Scoped::wait), done)
    })
}

impl<T> Thread<T> {
    /// Waits for its end.
    #[expect(clippy::disallowed_methods, reason = "a panic goes on")]
    pub fn wait(self) -> T {
        self.0.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}

impl<T> Scoped<'_, T> {
    /// Waits for its end.
    #[expect(clippy::disallowed_methods, reason = "a panic goes on")]
    pub fn wait(self) -> T {
        self.0.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        assert_eq!(each("double", &[3, 1, 2], |n| n * 2), [6, 2, 4]);
        assert_eq!(both("beside", || 1, || 2), (1, 2));
        assert_eq!(start("alone", || 7).unwrap().wait(), 7);
    }
}
