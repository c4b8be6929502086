use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};
use wharf::Result;
use wharf_protocols::nats::{Credentials, Event, NatsError, Options};

use crate::server::{Server, is_missing, run};

#[test]
fn passwords_tokens_and_permissions() -> Result {
    if is_missing() {
        return Ok(());
    }
    let server = Server::with_configuration(
        "authorization { users: [ { user: me, password: \"s3 cret\", permissions: { publish: \"ok.>\" } } ] }",
    );
    run(async |event_loop| {
        let error = Options::new().connect(&event_loop, [&server.address]).await.unwrap_err();
        assert!(
            matches!(&error, NatsError::Server(text) if text.contains("Authorization")),
            "{error:?}"
        );
        let credentials =
            Credentials::UserPassword { user: "me".to_owned(), password: "s3 cret".to_owned() };
        let client =
            Options::new().credentials(credentials).connect(&event_loop, [&server.address]).await?;
        let mut events = client.events();
        client.publish("secret", "")?;
        let Some(Event::ServerError(text)) = events.next().await else { panic!() };
        assert!(text.contains("Permissions Violation"), "{text}");
        client.publish("ok.1", "")?;
        client.flush().await?;
        let address = format!("nats://me:s3 cret@{}", server.address);
        Options::new().connect(&event_loop, [address]).await?.flush().await?;
        Ok(())
    })?;
    let server = Server::with_configuration("authorization { token: t0ken }");
    run(async |event_loop| {
        let wrong = Options::new().credentials(Credentials::Token("other".to_owned()));
        assert!(wrong.connect(&event_loop, [&server.address]).await.is_err());
        let right = Options::new().credentials(Credentials::Token("t0ken".to_owned()));
        right.connect(&event_loop, [&server.address]).await?.flush().await?;
        Ok(())
    })
}

#[test]
fn keys() -> Result {
    if is_missing() {
        return Ok(());
    }
    let pair = nkeys::KeyPair::new_user();
    let configuration = format!("authorization {{ users: [ {{ nkey: {} }} ] }}", pair.public_key());
    let server = Server::with_configuration(&configuration);
    let key = |pair: &nkeys::KeyPair| {
        Options::new().credentials(Credentials::NKey { seed: pair.seed().unwrap() })
    };
    run(async |event_loop| {
        let client = key(&pair).connect(&event_loop, [&server.address]).await?;
        client.flush().await?;
        let other = nkeys::KeyPair::new_user();
        let error = key(&other).connect(&event_loop, [&server.address]).await.unwrap_err();
        assert!(matches!(error, NatsError::Server(_)), "{error:?}");
        Ok(())
    })
}

/// A JWT of NATS: what is said about whom, signed by who says it.
fn jwt(issuer: &KeyPair, about: &KeyPair, expires: Option<u64>, nats: Value) -> String {
    let mut claims = json!({
        "jti": about.public_key(), "iat": now(), "iss": issuer.public_key(),
        "name": "test", "sub": about.public_key(), "nats": nats,
    });
    if let Some(expires) = expires {
        claims["exp"] = expires.into();
    }
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let head = encode(br#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let signed = format!("{head}.{}", encode(claims.to_string().as_bytes()));
    let signature = issuer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", encode(&signature))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn creds_file(account: &KeyPair, user: &KeyPair, expires: Option<u64>) -> String {
    let claims = json!({
        "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1, "type": "user", "version": 2,
    });
    let jwt = jwt(account, user, expires, claims);
    let seed = user.seed().unwrap();
    format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         *** IMPORTANT ***\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
}

/// nats.py#193, nats.deno#450: with a JWT that has expired nobody came back, although another one was there.
#[test]
fn credentials_files_and_jwts_that_expire() -> Result {
    if is_missing() {
        return Ok(());
    }
    let (operator, account) = (KeyPair::new_operator(), KeyPair::new_account());
    let operator_jwt = jwt(&operator, &operator, None, json!({ "type": "operator", "version": 2 }));
    let limits = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
        "conn": -1, "leaf": -1,
    });
    let claims = json!({ "limits": limits, "type": "account", "version": 2 });
    let account_jwt = jwt(&operator, &account, None, claims);
    let server = Server::with_configuration(&format!(
        "operator: {operator_jwt}\nresolver: MEMORY\nresolver_preload: {{ {}: {account_jwt} }}\n",
        account.public_key()
    ));
    run(async |event_loop| {
        let user = KeyPair::new_user();
        let text = creds_file(&account, &user, None);
        let credentials = Credentials::from_creds_text(&text)?;
        let client =
            Options::new().credentials(credentials).connect(&event_loop, [&server.address]).await?;
        client.flush().await?;

        // The key of another one.
        let Credentials::Jwt { jwt, .. } = Credentials::from_creds_text(&text)? else { panic!() };
        let seed = KeyPair::new_user().seed()?;
        let wrong = Options::new().credentials(Credentials::Jwt { jwt, seed });
        let error = wrong.connect(&event_loop, [&server.address]).await.unwrap_err();
        assert!(matches!(error, NatsError::Server(_)), "{error:?}");

        let asked = Rc::new(Cell::new(0));
        let asking = Rc::clone(&asked);
        let options = Options::new()
            .backoff(Duration::from_millis(20), Duration::from_millis(200))
            .ask_credentials(move |_| {
                asking.set(asking.get() + 1);
                let expires = if asking.get() == 1 { now() + 2 } else { now() + 1000 };
                Credentials::from_creds_text(&creds_file(&account, &user, Some(expires)))
            });
        let client = options.connect(&event_loop, [&server.address]).await?;
        let mut events = client.events();
        let mut messages = client.subscribe("a")?;
        let Some(Event::ServerError(text)) = events.next().await else { panic!() };
        assert!(text.contains("Expired"), "{text}");
        while !matches!(events.next().await, Some(Event::Connected { .. })) {}
        client.publish("a", "again")?;
        assert_eq!(messages.next().await.unwrap().payload(), b"again");
        assert_eq!(asked.get(), 2);
        Ok(())
    })
}
