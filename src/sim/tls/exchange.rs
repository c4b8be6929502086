//! A key exchange whose every number is from the seed, and whose secret is known to who sees it.

use rustls::crypto::{ActiveKeyExchange, SecureRandom as _, SharedSecret, SupportedKxGroup};
use rustls::{Error, NamedGroup, PeerMisbehaved};

use super::randomness::FromSeed;

/// As long as keys of X25519, in whose place it is: lengths of messages stay what they are.
const LENGTH: usize = 32;

/// Each side draws a number and says it; both together are the secret.
#[derive(Debug)]
pub(super) struct Open;

struct Started {
    own: [u8; LENGTH],
}

impl SupportedKxGroup for Open {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let mut own = [0; LENGTH];
        FromSeed.fill(&mut own)?;
        Ok(Box::new(Started { own }))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

impl ActiveKeyExchange for Started {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let peer: &[u8; LENGTH] =
            peer.try_into().map_err(|_| Error::from(PeerMisbehaved::InvalidKeyShare))?;
        let secret: Vec<u8> = self.own.iter().zip(peer).map(|(own, peer)| own ^ peer).collect();
        Ok(SharedSecret::from(secret))
    }

    fn pub_key(&self) -> &[u8] {
        &self.own
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}
