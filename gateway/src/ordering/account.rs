//! The account at an authority: made once, and found again.

use std::time::Duration;

use instant_acme::{Account, AccountCredentials, NewAccount};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::fault::OrderFault;
use super::http::Http;
use crate::acme::{Lock, Storage};
use crate::config::plan::Acme;

/// Between two looks at a lock that another process, or another certificate, has.
const LOCK_PAUSE: Duration = Duration::from_millis(200);

/// What stands in account.json.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// Whom the authority writes to, as it was told last.
    email: Option<String>,
    credentials: AccountCredentials,
}

/// The account we have, or a new one.
pub(super) async fn account(storage: &Storage, acme: &Acme, http: &Http) -> Result<Account, OrderFault> {
    // Certificates that begin together shall not make an account each.
    let lock = locked(storage).await?;
    let builder = || Account::builder_with_http(Box::new(http.clone()));
    let contact = acme.email.as_ref().map(|email| format!("mailto:{email}"));
    let contact: Vec<&str> = contact.as_deref().into_iter().collect();
    let (account, kept) = match kept(storage)? {
        Some(kept) => {
            let account = builder().from_credentials(again(&kept.credentials)?).await?;
            if kept.email == acme.email {
                return Ok(account);
            }
            account.update_contacts(&contact).await?;
            (account, kept.credentials)
        }
        None => {
            let new = NewAccount {
                contact: &contact,
                // Without it there is no plan: see `terms_agreed`.
                terms_of_service_agreed: true,
                only_return_existing: false,
            };
            let created = builder().create(&new, acme.directory.clone(), None);
            let (account, credentials) = created.await?;
            log::info!("an account was made at {}", acme.directory);
            (account, credentials)
        }
    };
    let kept = Kept {
        email: acme.email.clone(),
        credentials: kept,
    };
    keep(storage.clone(), &kept, lock).await?;
    Ok(account)
}

async fn locked(storage: &Storage) -> Result<Lock, OrderFault> {
    loop {
        if let Some(lock) = storage.lock_account()? {
            return Ok(lock);
        }
        // The whole order has a deadline.
        sleep(LOCK_PAUSE).await;
    }
}

/// One that is there; one whose file is damaged is told, and not replaced: its key may still be saved.
fn kept(storage: &Storage) -> Result<Option<Kept>, OrderFault> {
    let Some(text) = storage.account()? else {
        return Ok(None);
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        OrderFault::Storage(crate::acme::StorageFault {
            path: storage.account_file(),
            message: format!("this is no account: {error}"),
        })
    })
}

/// The crate takes its credentials away and cannot copy them.
fn again(credentials: &AccountCredentials) -> Result<AccountCredentials, OrderFault> {
    let copied = serde_json::to_value(credentials).and_then(serde_json::from_value);
    copied.map_err(|error| OrderFault::Nonsense(error.to_string()))
}

/// The lock goes with it: whoever is stopped meanwhile leaves nobody behind who writes without.
async fn keep(storage: Storage, kept: &Kept, lock: Lock) -> Result<(), OrderFault> {
    let text = serde_json::to_vec_pretty(kept).map_err(|error| OrderFault::Nonsense(error.to_string()))?;
    let written = tokio::task::spawn_blocking(move || {
        let written = storage.keep_account(&text);
        drop(lock);
        written
    });
    match written.await {
        Ok(written) => Ok(written?),
        Err(_) => Err(OrderFault::Late),
    }
}
