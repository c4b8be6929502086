//! Who a client is.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;

use super::error::NatsError;
use crate::nats::codec::{ConnectInfo, ServerInfo};

/// Who a client is. Its `Debug` form shows no secrets.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Credentials {
    /// Nobody in particular.
    #[default]
    None,
    /// A user's name and password.
    UserPassword {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// A token.
    Token(String),
    /// A key (Ed25519): the server's nonce is signed with it, and the key stays here.
    NKey {
        /// The seed of the key, such as `SUAB…`.
        seed: String,
    },
    /// A user's JWT, and the key that belongs to it.
    Jwt {
        /// The JWT.
        jwt: String,
        /// The seed of the key.
        seed: String,
    },
}

impl Credentials {
    /// Reads the text of a credentials file (`.creds`): a JWT and a seed, each between lines of dashes.
    ///
    /// # Errors
    /// [`NatsError::Invalid`] if one of them is missing.
    pub fn from_creds_text(text: &str) -> Result<Self, NatsError> {
        let missing = |what: &str| NatsError::Invalid(format!("the credentials have no {what}"));
        let part = |title: &str| {
            let mut lines = text.lines().map(str::trim).skip_while(|line| !line.contains(title));
            lines.next();
            lines
                .find(|line| !line.is_empty())
                .filter(|line| !line.starts_with('-'))
                .map(str::to_owned)
        };
        let jwt = part("BEGIN NATS USER JWT").ok_or_else(|| missing("JWT"))?;
        let seed = part("BEGIN USER NKEY SEED").ok_or_else(|| missing("seed"))?;
        Ok(Self::Jwt { jwt, seed })
    }

    /// Puts them into a `CONNECT`.
    pub(super) fn apply(
        self,
        info: &ServerInfo,
        connect: &mut ConnectInfo,
    ) -> Result<(), NatsError> {
        match self {
            Self::None => (),
            Self::UserPassword { user, password } => {
                (connect.user, connect.pass) = (Some(user), Some(password));
            }
            Self::Token(token) => connect.auth_token = Some(token),
            Self::NKey { seed } => {
                let pair = key_pair(&seed)?;
                connect.sig = sign(&pair, info)?;
                connect.nkey = Some(pair.public_key());
            }
            Self::Jwt { jwt, seed } => {
                connect.sig = sign(&key_pair(&seed)?, info)?;
                connect.jwt = Some(jwt);
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "None",
            Self::UserPassword { .. } => "UserPassword { .. }",
            Self::Token(_) => "Token(..)",
            Self::NKey { .. } => "NKey { .. }",
            Self::Jwt { .. } => "Jwt { .. }",
        })
    }
}

fn key_pair(seed: &str) -> Result<KeyPair, NatsError> {
    // Its error does not repeat the seed; ours does not either.
    KeyPair::from_seed(seed.trim()).map_err(|_| NatsError::Invalid("the seed of a key".to_owned()))
}

fn sign(pair: &KeyPair, info: &ServerInfo) -> Result<Option<String>, NatsError> {
    let nonce = info.nonce.as_deref().unwrap_or_default();
    if nonce.is_empty() {
        return Err(NatsError::Invalid("the server sent nothing to sign".to_owned()));
    }
    let signature = pair.sign(nonce.as_bytes());
    let signature =
        signature.map_err(|_| NatsError::Invalid("a key that cannot sign".to_owned()))?;
    Ok(Some(URL_SAFE_NO_PAD.encode(signature)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sign_the_nonce() {
        let pair = KeyPair::new_user();
        let seed = pair.seed().unwrap();
        let info = ServerInfo { nonce: Some("abc".to_owned()), ..ServerInfo::default() };
        let mut connect = ConnectInfo::new();
        let credentials = Credentials::NKey { seed: seed.clone() };
        assert!(!format!("{credentials:?}").contains(&seed));
        credentials.apply(&info, &mut connect).unwrap();
        assert_eq!(connect.nkey, Some(pair.public_key()));
        let signature = URL_SAFE_NO_PAD.decode(connect.sig.unwrap()).unwrap();
        pair.verify(b"abc", &signature).unwrap();

        let bad = Credentials::NKey { seed: "SUBAD".to_owned() };
        let error = bad.apply(&info, &mut ConnectInfo::new()).unwrap_err();
        assert!(!error.to_string().contains("SUBAD"));
        let without = ServerInfo::default();
        assert!(Credentials::NKey { seed }.apply(&without, &mut ConnectInfo::new()).is_err());
    }

    #[test]
    fn credentials_files() {
        let text = "-----BEGIN NATS USER JWT-----\neyJ0.a.b\n------END NATS USER JWT------\n\n\
            IMPORTANT\n\n-----BEGIN USER NKEY SEED-----\nSUAB\n------END USER NKEY SEED------\n";
        let Ok(Credentials::Jwt { jwt, seed }) = Credentials::from_creds_text(text) else {
            panic!()
        };
        assert_eq!((jwt.as_str(), seed.as_str()), ("eyJ0.a.b", "SUAB"));
        for cut in ["", "-----BEGIN NATS USER JWT-----\n------END", &text[..60]] {
            assert!(Credentials::from_creds_text(cut).is_err());
        }
    }
}
