//! Whether those who judge logins can be asked, and what they answer.

use super::wait::wait_for;
use crate::auth::{Finding, Remote, Sources};
use crate::state::State;

/// What was found: lines for people.
#[derive(Default)]
pub(super) struct Answers {
    pub(super) told: Vec<String>,
    /// Logins work, or may work again without a change of the settings.
    pub(super) warnings: Vec<String>,
    /// The settings do not fit what is there.
    pub(super) mistakes: Vec<String>,
}

/// Asks the directory, the service, and each issuer for its keys. Waits for a bounded time.
pub(super) fn ask(state: &State) -> Answers {
    let Some(sources) = &state.sources else { return Answers::default() };
    wait_for(answers(sources)).unwrap_or_else(|why| Answers { warnings: vec![why], ..Answers::default() })
}

async fn answers(sources: &Sources) -> Answers {
    let mut answers = Answers::default();
    match &sources.remote {
        Some(Remote::Ldap(ldap)) => {
            for finding in ldap.probe().await {
                match finding {
                    Finding::Warning(text) => answers.warnings.push(text),
                    Finding::Mistake(text) => answers.mistakes.push(text),
                }
            }
        }
        Some(Remote::Http(service)) => match service.probe().await {
            Ok(told) => answers.told.push(format!("auth.http: {told}")),
            Err(why) => answers.warnings.push(format!("auth.http: {why}")),
        },
        None => {}
    }
    for (issuer, answer) in sources.issuers.probe().await {
        match answer {
            Ok(keys) => answers.told.push(format!("issuer {issuer}: {keys}")),
            Err(why) => answers.warnings.push(format!("issuer {issuer}: {why}")),
        }
    }
    answers
}
