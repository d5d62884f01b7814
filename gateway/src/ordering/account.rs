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
    let builder = || Account::builder_with_http(Box::new(http.clone()));
    // The usual case needs no lock, which would be held while an authority takes its time to answer.
    if let Some(kept) = kept(storage)?.filter(|kept| kept.email == acme.email) {
        return Ok(builder().from_credentials(kept.credentials).await?);
    }
    // Certificates that begin together shall not make an account each.
    let lock = locked(storage).await?;
    let contact = acme.email.as_ref().map(|email| format!("mailto:{email}"));
    let contact: Vec<&str> = contact.as_deref().into_iter().collect();
    let (account, kept) = match kept(storage)? {
        Some(kept) => {
            let account = builder().from_credentials(again(&kept.credentials)?).await?;
            // Somebody else was faster.
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

/// Puts the account aside that its authority does not know, if it is still the one that was `used`; whether it was.
///
/// Certificates share an account, and learn one by one that it is forgotten: the first makes another, which the others
/// must leave alone.
pub(super) async fn retire(storage: &Storage, used: Option<&[u8]>) -> Result<bool, OrderFault> {
    let _lock = locked(storage).await?;
    let Some(used) = used else {
        return Ok(false);
    };
    let is_it = storage.account()?.is_some_and(|kept| kept == used);
    if is_it {
        storage.retire_account()?;
    }
    Ok(is_it)
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

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};

    use super::*;
    use crate::kit::clock::Clock;

    /// As it is kept, with the authority's addresses in it: then nobody has to be asked for them.
    fn text(email: &str) -> Vec<u8> {
        let random = ring::rand::SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let key = base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, key.as_ref());
        let urls = ["newNonce", "newAccount", "newOrder"].map(|name| (name, "https://ca.test/"));
        let urls: std::collections::BTreeMap<_, _> = urls.into_iter().collect();
        let credentials = serde_json::json!({ "id": "https://ca.test/1", "key_pkcs8": key, "urls": urls });
        serde_json::to_vec(&serde_json::json!({ "email": email, "credentials": credentials })).unwrap()
    }

    #[tokio::test]
    async fn an_account_that_is_there_waits_for_no_lock() {
        let folder = tempfile::tempdir().unwrap();
        let storage = storage(&folder);
        storage.keep_account(&text("ops@a.test")).unwrap();
        let mut acme = Acme {
            email: Some("ops@a.test".to_owned()),
            directory: "https://ca.test/dir".to_owned(),
            storage: folder.path().to_owned(),
            trust: None,
        };
        let http = Http::new(&acme, &Clock::system()).unwrap();
        let _lock = storage.lock_account().unwrap().unwrap();
        let at_once = async |acme: &Acme| {
            tokio::select! {
                biased;
                found = account(&storage, acme, &http) => Some(found.unwrap()),
                () = std::future::ready(()) => None,
            }
        };
        assert_eq!(at_once(&acme).await.unwrap().id(), "https://ca.test/1");
        // With another address it is about to be changed, by one at a time.
        acme.email = None;
        assert!(at_once(&acme).await.is_none());
    }

    fn storage(folder: &tempfile::TempDir) -> Storage {
        Storage::new(folder.path(), "https://ca.test/dir")
    }

    #[tokio::test]
    async fn an_account_that_others_have_made_meanwhile_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let storage = storage(&folder);
        storage.keep_account(b"forgotten").unwrap();
        assert!(retire(&storage, Some(b"forgotten")).await.unwrap());
        assert_eq!(storage.account().unwrap(), None);
        // Somebody else has been told so too, before the first one has made another, and after.
        assert!(!retire(&storage, Some(b"forgotten")).await.unwrap());
        storage.keep_account(b"new").unwrap();
        assert!(!retire(&storage, Some(b"forgotten")).await.unwrap());
        assert!(!retire(&storage, None).await.unwrap());
        assert_eq!(storage.account().unwrap().unwrap(), b"new");
    }

    #[tokio::test]
    async fn whoever_makes_an_account_has_it_made_before_it_is_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let storage = storage(&folder);
        storage.keep_account(b"forgotten").unwrap();
        let lock = storage.lock_account().unwrap();
        let made = async {
            tokio::task::yield_now().await;
            storage.keep_account(b"new").unwrap();
            drop(lock);
        };
        let (retired, ()) = tokio::join!(retire(&storage, Some(b"forgotten")), made);
        assert!(!retired.unwrap());
        assert_eq!(storage.account().unwrap().unwrap(), b"new");
    }
}
