//! Secrets that change while the process lives, in the real Secrets Manager of the local stack.

use super::secrets::Kept;
use super::*;

const FIRST: &str = "mysql://u:first@db.example/g";
const SECOND: &str = "mysql://u:second@db.example/g";
const THIRD: &str = "mysql://u:third@db.example/g";

async fn login_of(kept: &Kept) -> Login<LedgerAddress> {
    let variables = [("GRANARY_LEDGER_SECRET_ARN", kept.arn.as_str())];
    let mut env = Environment::from_variables(variables);
    let ledger = LedgerSection::read(&mut env, &aws::sdk_config().await).await;
    env.finish(|| ledger).unwrap().url
}

fn url(login: &Login<LedgerAddress>) -> String {
    login.current().0.url.expose_secret().to_owned()
}

/// What the login is after the service has refused it.
async fn refused(login: &Login<LedgerAddress>) -> (Renewed, String) {
    let renewed = login.renew(login.current().1).await;
    (renewed, url(login))
}

#[tokio::test]
async fn d4_a_rotated_secret_is_read_once_for_all_who_are_refused() {
    let kept = Kept::new("rotated", FIRST).await;
    let login = login_of(&kept).await;
    kept.rotate(SECOND).await;
    let (_, edition) = login.current();
    let renewed = tokio::join!(login.renew(edition), login.renew(edition), login.renew(edition));
    assert_eq!(renewed, (Renewed::Changed, Renewed::Changed, Renewed::Changed));
    let (_, second) = login.current();
    assert_eq!(url(&login), SECOND);
    assert_eq!(
        login.renew(edition).await,
        Renewed::Changed,
        "somebody who comes late finds it changed"
    );
    assert_eq!(login.current().1, second, "and nothing is read for that");
    kept.forget().await;
}

#[tokio::test]
async fn d4_the_version_before_the_current_one_is_tried_where_that_is_refused_too() {
    let kept = Kept::new("twice", FIRST).await;
    let login = login_of(&kept).await;
    kept.rotate(SECOND).await;
    kept.rotate(THIRD).await;
    assert_eq!(refused(&login).await, (Renewed::Changed, THIRD.to_owned()));
    assert_eq!(refused(&login).await, (Renewed::Changed, SECOND.to_owned()));
    let (renewed, back) = refused(&login).await;
    assert_eq!(
        (renewed, back.as_str()),
        (Renewed::Same, THIRD),
        "what the secret says is what is asked with next"
    );
    assert_eq!(refused(&login).await.0, Renewed::Same);
    kept.forget().await;
}

#[tokio::test]
async fn d4_a_login_that_was_refused_before_is_not_tried_again_as_the_version_before() {
    let kept = Kept::new("once", FIRST).await;
    let login = login_of(&kept).await;
    kept.rotate(SECOND).await;
    assert_eq!(refused(&login).await, (Renewed::Changed, SECOND.to_owned()));
    assert_eq!(refused(&login).await, (Renewed::Same, SECOND.to_owned()));
    kept.forget().await;
}

#[tokio::test]
async fn d4_a_secret_is_not_read_again_within_a_minute() {
    let kept = Kept::new("soon", FIRST).await;
    let login = login_of(&kept).await;
    assert_eq!(refused(&login).await, (Renewed::Same, FIRST.to_owned()));
    kept.rotate(SECOND).await;
    assert_eq!(refused(&login).await, (Renewed::Same, FIRST.to_owned()));
    kept.forget().await;
}

#[tokio::test]
async fn d4_what_can_not_be_read_or_understood_leaves_the_login_as_it_is() {
    let kept = Kept::new("spoilt", FIRST).await;
    let login = login_of(&kept).await;
    kept.rotate("{\"username\":\"u\"}").await;
    assert_eq!(refused(&login).await, (Renewed::Same, FIRST.to_owned()));
    kept.forget().await;

    let kept = Kept::new("lost", FIRST).await;
    let login = login_of(&kept).await;
    kept.forget().await;
    assert_eq!(refused(&login).await, (Renewed::Same, FIRST.to_owned()));
}

#[tokio::test]
async fn a_login_that_stands_in_the_environment_stays_as_it_is() {
    let login = Login::<LedgerAddress>::from(FIRST.to_owned());
    assert_eq!(refused(&login).await, (Renewed::Same, FIRST.to_owned()));
}

#[tokio::test]
async fn secrets_are_read_as_the_consoles_of_aws_and_elasticsearch_write_them() {
    let rds = "{\"username\":\"u\",\"password\":\"p\",\"engine\":\"mysql\",\"host\":\"db.example\",\"port\":3306,\
               \"dbname\":\"g\",\"dbInstanceIdentifier\":\"granary\"}";
    let kept = Kept::new("rds", rds).await;
    assert_eq!(url(&login_of(&kept).await), "mysql://u:p@db.example:3306/g");
    kept.forget().await;

    let read = |text: &str| SourceCredentials::of_secret(&text.into());
    let key = |text: &str| {
        let SourceCredentials::ApiKey(key) = read(text).unwrap() else {
            panic!("no API key in {text}")
        };
        key.expose_secret().to_owned()
    };
    assert_eq!(key("{\"api_key\":\"VnVh\"}"), "VnVh");
    assert_eq!(
        key("{\"id\":\"i\",\"api_key\":\"k\",\"encoded\":\"aTpr\"}"),
        "aTpr"
    );
    assert_eq!(
        key("{\"id\":\"i\",\"api_key\":\"k\"}"),
        "aTpr",
        "the encoded form of both"
    );
    assert!(matches!(
        read("{\"bearer\":\"t\"}"),
        Ok(SourceCredentials::Bearer(_))
    ));
    assert!(matches!(
        read("{\"username\":\"u\",\"password\":\"p\",\"host\":\"es\"}"),
        Ok(SourceCredentials::User { .. })
    ));
    for wrong in [
        "{\"api_key\":\"hunter2\",\"bearer\":\"hunter2\"}",
        "{\"token\":\"hunter2\"}",
        "hunter2",
    ] {
        assert!(!read(wrong).unwrap_err().contains("hunter2"));
    }
}

#[tokio::test]
async fn a_secret_of_another_kind_of_database_is_refused() {
    let kept = Kept::new(
        "postgres",
        "{\"username\":\"u\",\"password\":\"p\",\"engine\":\"postgres\"}",
    )
    .await;
    let variables = [("GRANARY_LEDGER_SECRET_ARN", kept.arn.as_str())];
    let mut env = Environment::from_variables(variables);
    let ledger = LedgerSection::read(&mut env, &aws::sdk_config().await).await;
    let text = env.finish(|| ledger).unwrap_err().to_string();
    assert!(text.contains("\"postgres\""), "{text}");
    kept.forget().await;
}
