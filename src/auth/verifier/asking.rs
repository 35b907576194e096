//! The questions to the engine that replicas share. All requests that send the same password from
//! the same network at once ask one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::super::throttle::SharedCharge;
use crate::cache::Key;
use crate::network::Network;

/// A password, and who sends it.
type Attempt = (Key, Network);

/// Whether an attempt may be made; `Err` is the rest of the delay.
type Word = Result<(), Duration>;

/// The questions that have no answer yet.
#[derive(Clone, Default)]
pub(super) struct Asking(Arc<Mutex<HashMap<Attempt, watch::Receiver<Option<Word>>>>>);

/// The part of a request in a question.
pub(super) enum Part {
    Ask(Asker),
    Listen(Listener),
}

impl Asking {
    pub(super) fn join(&self, key: Key, network: Network) -> Part {
        let attempt = (key, network);
        let mut questions = self.questions();
        if let Some(word) = questions.get(&attempt) {
            return Part::Listen(Listener(word.clone()));
        }
        let word = watch::Sender::new(None);
        questions.insert(attempt, word.subscribe());
        Part::Ask(Asker { asking: self.clone(), attempt, word })
    }

    fn questions(&self) -> MutexGuard<'_, HashMap<Attempt, watch::Receiver<Option<Word>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks, and tells the others. If it is dropped before, one of the others asks.
pub(super) struct Asker {
    asking: Asking,
    attempt: Attempt,
    word: watch::Sender<Option<Word>>,
}

impl Asker {
    pub(super) fn tell(self, word: Word) {
        self.word.send_replace(Some(word));
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.asking.questions().remove(&self.attempt);
    }
}

/// Waits for the answer to the question of another request.
pub(super) struct Listener(watch::Receiver<Option<Word>>);

/// What the engine has said about a request.
#[derive(Default)]
pub(super) enum Leave {
    /// Nothing yet.
    #[default]
    None,
    /// Another request that sent the same has asked: there is no delay.
    Granted,
    /// There is no delay, and the attempt is charged; not in an engine that is away.
    Charged(Option<SharedCharge>),
}

/// What a listener hears.
pub(super) enum Heard {
    Word(Word),
    /// Whoever asked has left.
    Nothing,
    /// There is no more time.
    Late,
}

impl Listener {
    pub(super) async fn listen(mut self, until: Instant) -> Heard {
        match timeout_at(until, self.0.wait_for(Option::is_some)).await {
            Ok(Ok(word)) => word.map_or(Heard::Nothing, Heard::Word),
            Ok(Err(_left)) => Heard::Nothing,
            Err(_elapsed) => Heard::Late,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ATTEMPT: Key = Key([1; 32]);

    fn network(host: u8) -> Network {
        Network::of([192, 0, 2, host].into())
    }

    fn ask(asking: &Asking, host: u8) -> Asker {
        let Part::Ask(asker) = asking.join(ATTEMPT, network(host)) else { panic!("somebody asks") };
        asker
    }

    fn listen(asking: &Asking, host: u8) -> impl Future<Output = Heard> + use<> {
        let Part::Listen(listener) = asking.join(ATTEMPT, network(host)) else { panic!("nobody asks") };
        listener.listen(Instant::now() + Duration::from_millis(250))
    }

    #[tokio::test]
    async fn one_of_those_who_send_the_same_asks_and_all_hear_the_answer() {
        let asking = Asking::default();
        let (asker, elsewhere) = (ask(&asking, 1), ask(&asking, 2));
        let (first, second) = (listen(&asking, 1), listen(&asking, 1));
        asker.tell(Err(Duration::from_secs(7)));
        for heard in [first.await, second.await] {
            assert!(matches!(heard, Heard::Word(Err(left)) if left.as_secs() == 7));
        }
        let other = listen(&asking, 2);
        elsewhere.tell(Ok(()));
        assert!(matches!(other.await, Heard::Word(Ok(()))));
        ask(&asking, 1);
    }

    #[tokio::test]
    async fn when_the_one_who_asks_leaves_another_one_asks() {
        let asking = Asking::default();
        let asker = ask(&asking, 1);
        let listener = listen(&asking, 1);
        drop(asker);
        assert!(matches!(listener.await, Heard::Nothing));
        ask(&asking, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_listens_longer_than_a_question_may_take() {
        let asking = Asking::default();
        let _asker = ask(&asking, 1);
        assert!(matches!(listen(&asking, 1).await, Heard::Late));
    }
}
