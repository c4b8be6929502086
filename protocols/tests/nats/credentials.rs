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
