//! One order from its beginning to a certificate (RFC 8555 §7.4), and what an authority suggests for the next one.

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, Identifier, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use rustls::pki_types::Der;

use super::Wanted;
use super::account::{account, retire};
use super::fault::OrderFault;
use super::http::Http;
use crate::acme::{Challenges, Posted, Window};
use crate::secrets::Identity;

/// Until an authority has looked at all proofs, or has signed. Some take minutes on busy days.
const POLL: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(250))
    .backoff(1.5)
    .timeout(Duration::from_secs(180));

/// What one attempt is made with.
pub(super) struct Errand<'a> {
    pub wanted: &'a Wanted,
    pub challenges: &'a Arc<Challenges>,
    pub http: &'a Http,
}

impl Errand<'_> {
    /// A new key and its chain, in PEM.
    pub(super) async fn bring(&self) -> Result<String, OrderFault> {
        let storage = &self.wanted.ordered.storage;
        // Read before: what stands there afterwards may be what somebody else has made meanwhile.
        let used = storage.account()?;
        let outcome = self.try_bring().await;
        if !outcome.as_ref().is_err_and(OrderFault::is_unknown_account) {
            return outcome;
        }
        // Authorities for trying forget. Once more, with an account they have just made.
        if retire(storage, used.as_deref()).await? {
            log::warn!(
                "{} does not know the account that was kept: it is put aside, and another one made",
                self.wanted.acme.directory
            );
        }
        self.try_bring().await
    }

    async fn try_bring(&self) -> Result<String, OrderFault> {
        let account = self.account().await?;
        let mut order = self.begin(&account).await?;
        // Held until the authority has looked: it may look from several places, some later than others.
        let posted = self.prove(&mut order).await?;
        self.wait_for_proofs(&mut order).await?;
        drop(posted);
        let key = order.finalize().await?;
        let chain = order.poll_certificate(&POLL).await?;
        Ok(format!("{key}{chain}"))
    }

    /// When the authority would have our certificate renewed, and when to ask again (RFC 9773); None where it says
    /// nothing of the sort.
    pub(super) async fn suggestion(&self) -> Result<Option<(Window, Duration)>, OrderFault> {
        let Some(replaced) = self.replaced() else {
            return Ok(None);
        };
        let (suggested, pause) = match self.account().await?.renewal_info(&replaced).await {
            Err(instant_acme::Error::Unsupported(_)) => return Ok(None),
            told => told?,
        };
        let unix = |secs: i64| Duration::from_secs(u64::try_from(secs).unwrap_or_default());
        let window = suggested.suggested_window;
        let window = Window::new(
            unix(window.start.unix_timestamp()),
            unix(window.end.unix_timestamp()),
        );
        Ok(window.map(|window| (window, pause)))
    }

    async fn account(&self) -> Result<Account, OrderFault> {
        account(&self.wanted.ordered.storage, &self.wanted.acme, self.http).await
    }

    /// Orders, saying what is replaced (RFC 9773 §5), which some rate limits spare; where that is not wanted, without.
    async fn begin(&self, account: &Account) -> Result<Order, OrderFault> {
        let domains = self.wanted.ordered.domains.iter();
        let names: Vec<Identifier> = domains.cloned().map(Identifier::Dns).collect();
        if let Some(replaced) = self.replaced() {
            match account.new_order(&NewOrder::new(&names).replaces(replaced)).await {
                Ok(order) => return Ok(order),
                Err(error) => {
                    let is_known = !matches!(error, instant_acme::Error::Unsupported(_));
                    let fault = OrderFault::from(error);
                    let may_be_for_it = fault.is_refusal() || matches!(fault, OrderFault::Nonsense(_));
                    if fault.is_unknown_account() || is_known && !may_be_for_it {
                        return Err(fault);
                    }
                }
            }
        }
        Ok(account.new_order(&NewOrder::new(&names)).await?)
    }

    /// What the authority calls the certificate that is shown now.
    fn replaced(&self) -> Option<CertificateIdentifier<'static>> {
        let identity: Arc<Identity> = self.wanted.ordered.slot.identity()?;
        let leaf = identity.chain().leaf();
        let key = Der::from_slice(leaf.authority_key()?);
        Some(CertificateIdentifier::new(key, Der::from_slice(leaf.serial())).into_owned())
    }

    /// Answers what is asked of each name that is not proved yet, and says that it does.
    async fn prove(&self, order: &mut Order) -> Result<Vec<Posted>, OrderFault> {
        let mut posted = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            let domain = authorization.identifier().to_string();
            match authorization.status {
                AuthorizationStatus::Pending => {}
                // Proved for an earlier order.
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Invalid
                | AuthorizationStatus::Revoked
                | AuthorizationStatus::Expired
                | AuthorizationStatus::Deactivated => {
                    return Err(OrderFault::unproved(domain, None));
                }
            }
            let challenge = authorization.challenge(ChallengeType::Http01);
            let mut challenge = challenge.ok_or(OrderFault::NoHttp01(domain))?;
            let text = challenge.key_authorization();
            let answer = self.challenges.post(&challenge.token, text.as_str());
            posted.push(answer.ok_or(OrderFault::NoRoom)?);
            challenge.set_ready().await?;
        }
        Ok(posted)
    }

    /// An order that fails says little; the name that has failed says why.
    async fn wait_for_proofs(&self, order: &mut Order) -> Result<(), OrderFault> {
        let general = match order.poll_ready(&POLL).await {
            Ok(OrderStatus::Ready) => return Ok(()),
            Ok(_) => OrderFault::Nonsense("the order has failed, and it does not say why".to_owned()),
            Err(error) => OrderFault::from(error),
        };
        let mut authorizations = order.authorizations();
        while let Some(Ok(mut authorization)) = authorizations.next().await {
            let Ok(state) = authorization.refresh().await else {
                continue;
            };
            let failed = state.challenges.iter().find_map(|c| c.error.as_ref());
            if failed.is_some() {
                return Err(OrderFault::unproved(state.identifier().to_string(), failed));
            }
        }
        Err(general)
    }
}
