//! How callers prove who they are: the setting `GRANARY_API_ACCESS`, and what API Gateway says of a caller that it has let in.
//!
//! Not responsible for tokens (`auth`). API Gateway checks signatures and JWTs before the operator is asked; what the operator
//! reads is the request's context, which a client can't write. A context that says nothing lets no one in.

use crate::web::caller::{Caller, Client, gateway_context};
use crate::web::problem::{Kind, Problem};
use axum::extract::Request;
use granary_environment::Reread;
use granary_tokens::{Role, TokenList};

const OPERATORS: &str = "granary-operator";
const VIEWERS: &str = "granary-viewer";
/// The API's id in the requests of `granary --function`. The ids that API Gateway gives have ten characters and no hyphen.
const INVOKED: &str = "lambda-invoke";
/// What a person who invokes the function calls themselves. IAM has checked that they may; the name is not checked.
const CALLED: &str = "granary-as";
const CALLED_CHARS_MAX: usize = 32;

/// How callers prove who they are.
#[derive(Debug)]
pub(crate) enum Access {
    /// By a bearer token of the list. `None`: there is no list, and every request is refused.
    Token(Option<Reread<TokenList>>),
    /// By a signature of AWS. A caller that IAM lets in is an operator; policies say which methods it may use.
    Iam,
    /// By a JWT of an OIDC issuer.
    Jwt {
        /// The claim that names the role.
        role_claim: String,
    },
    /// There is no API Gateway: the function is invoked, and IAM says who may.
    Invoke,
}

/// The name of a mode, before it is known what else it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Token,
    Iam,
    Jwt,
    None,
}

impl Mode {
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "token" => Ok(Self::Token),
            "iam" => Ok(Self::Iam),
            "jwt" => Ok(Self::Jwt),
            "none" => Ok(Self::None),
            _ => Err("it must be token, iam, jwt or none"),
        }
    }
}

/// A caller whose signature API Gateway has checked.
pub(crate) fn by_iam(request: &Request, client: &Client) -> Result<Caller, Problem> {
    let iam = gateway_context(request).and_then(|context| context.authorizer.as_ref()?.iam.as_ref());
    let arn = iam
        .and_then(|iam| iam.user_arn.as_deref())
        .filter(|arn| !arn.is_empty());
    match arn {
        Some(arn) => Ok(Caller::new(arn, Role::Operator, client.address)),
        None => Err(unproven(
            "The request has no signature of AWS that API Gateway has checked.",
            "Sign it with your AWS credentials, or use `granary --function`.",
        )),
    }
}

/// A caller whose JWT API Gateway has checked. The name is the claim `email`, unless the issuer says that it is unverified, or `sub`.
pub(crate) fn by_jwt(request: &Request, client: &Client, role_claim: &str) -> Result<Caller, Problem> {
    let jwt = gateway_context(request).and_then(|context| context.authorizer.as_ref()?.jwt.as_ref());
    let Some(jwt) = jwt else {
        return Err(unproven(
            "The request has no JWT that API Gateway has checked.",
            "Send the header `Authorization: Bearer <JWT>`.",
        ));
    };
    let claim = |name: &str| jwt.claims.get(name).filter(|text| !text.is_empty());
    let is_unverified = claim("email_verified").is_some_and(|text| text == "false");
    let name = claim("email").filter(|_| !is_unverified).or_else(|| claim("sub"));
    let role = claim(role_claim).and_then(|roles| role_among(roles));
    match (name, role) {
        (Some(name), Some(role)) => Ok(Caller::new(name, role, client.address)),
        (None, _) => Err(unproven(
            "The JWT has neither a verified claim `email` nor a claim `sub`.",
            "Have the issuer add one of them.",
        )),
        (_, None) => Err(unproven(
            &format!("The JWT's claim `{role_claim}` names no role."),
            &format!("Have the issuer add {OPERATORS} or {VIEWERS} to it."),
        )),
    }
}

/// A text, texts with spaces between them, or a list as API Gateway writes it: `[a b]`. The larger role counts.
fn role_among(roles: &str) -> Option<Role> {
    let roles = roles.trim().trim_start_matches('[').trim_end_matches(']');
    let named = roles.split([' ', ',']).filter_map(|role| match role {
        OPERATORS => Some(Role::Operator),
        VIEWERS => Some(Role::Viewer),
        _ => None,
    });
    named.max()
}

/// A caller that has invoked the function. Where the request comes from is not known: its context is the caller's own.
pub(crate) fn by_invocation(request: &Request) -> Result<Caller, Problem> {
    let is_invoked =
        gateway_context(request).is_some_and(|context| context.apiid.as_deref() == Some(INVOKED));
    if !is_invoked {
        return Err(unproven(
            "This deployment has no API: its operator takes only what `granary --function` sends.",
            "Give `granary` the operator's name by --function or GRANARY_FUNCTION.",
        ));
    }
    let called = request.headers().get(CALLED).and_then(|name| name.to_str().ok());
    let called: String = called
        .unwrap_or("unknown")
        .chars()
        .filter(char::is_ascii_graphic)
        .take(CALLED_CHARS_MAX)
        .collect();
    let name = format!("lambda:invoke ({called}, unverified)");
    Ok(Caller::new(&name, Role::Operator, None))
}

fn unproven(detail: &str, remedy: &str) -> Problem {
    Problem::new(Kind::Unauthenticated, detail).remedy(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
    use lambda_http::request::LambdaRequest;
    use serde_json::{Value, json};

    /// A request with this member of its context, as the guide of API Gateway shows it.
    fn with(member: &str, value: Value, headers: &[(&'static str, &str)]) -> Request {
        let mut event: Value =
            serde_json::from_str(include_str!("../../../../events/operator.health.json")).unwrap();
        event["requestContext"][member] = value;
        let event: ApiGatewayV2httpRequest = serde_json::from_value(event).unwrap();
        let request: axum::http::Request<lambda_http::Body> = LambdaRequest::ApiGatewayV2(event).into();
        let mut request = request.map(|_| Body::empty());
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        request
    }

    fn jwt(claims: Value) -> Result<Caller, Problem> {
        let authorizer = json!({ "jwt": { "claims": claims, "scopes": null } });
        let request = with("authorizer", authorizer, &[]);
        by_jwt(&request, &Client::of(&request), "role")
    }

    #[test]
    fn a_signed_request_is_an_operators_and_named_by_its_arn() {
        let iam = json!({ "iam": {
            "accessKey": "AKIAIOSFODNN7EXAMPLE", "accountId": "123456789012", "callerId": "AIDACKCEVSQ6C2EXAMPLE",
            "cognitoIdentity": null, "principalOrgId": "o-abc", "userArn": "arn:aws:iam::123456789012:user/ada",
            "userId": "AIDACKCEVSQ6C2EXAMPLE",
        }});
        let request = with("authorizer", iam, &[]);
        let caller = by_iam(&request, &Client::of(&request)).unwrap();
        assert_eq!(
            (caller.name(), caller.role()),
            ("arn:aws:iam::123456789012:user/ada", Role::Operator)
        );
        assert_eq!(caller.address().unwrap().to_string(), "203.0.113.7");
        let long = format!(
            "arn:aws:sts::123456789012:assumed-role/{}/ada@example.com",
            "r".repeat(64)
        );
        let request = with("authorizer", json!({ "iam": { "userArn": long } }), &[]);
        let caller = by_iam(&request, &Client::of(&request)).unwrap();
        assert!(caller.name().starts_with('…') && caller.name().ends_with("/ada@example.com"));
        assert_eq!(caller.name().chars().count(), 64);
    }

    #[test]
    fn a_jwt_is_named_by_its_email_or_subject_and_its_claim_says_the_role() {
        let caller =
            jwt(json!({"sub": "00u1", "email": "ada@example.com", "role": "granary-operator"})).unwrap();
        assert_eq!(
            (caller.name(), caller.role()),
            ("ada@example.com", Role::Operator)
        );
        let unverified = json!({"sub": "00u1", "email": "ada@example.com", "email_verified": "false", "role": "granary-viewer"});
        let caller = jwt(unverified).unwrap();
        assert_eq!((caller.name(), caller.role()), ("00u1", Role::Viewer));
        for (roles, role) in [
            ("[staff granary-operator granary-viewer]", Some(Role::Operator)),
            ("staff granary-viewer", Some(Role::Viewer)),
            ("[granary-viewer]", Some(Role::Viewer)),
            ("granary-operators", None),
            ("not-granary-operator", None),
            ("[]", None),
            ("", None),
        ] {
            assert_eq!(role_among(roles), role, "{roles}");
        }
        for claims in [
            json!({"sub": "00u1"}),
            json!({"sub": "00u1", "role": "admin"}),
            json!({"role": "granary-operator"}),
        ] {
            assert!(jwt(claims.clone()).is_err(), "{claims}");
        }
    }

    #[test]
    fn s1_what_api_gateway_has_not_checked_lets_no_one_in() {
        let forged = [
            ("authorization", "Bearer eyJhbGciOiJub25lIn0.e30."),
            ("granary-as", "ada"),
        ];
        let request = with("authorizer", Value::Null, &forged);
        let client = Client::of(&request);
        assert!(by_iam(&request, &client).is_err());
        assert!(by_jwt(&request, &client, "role").is_err());
        // An API Gateway that was put before it by mistake gives its own id.
        assert!(by_invocation(&request).is_err());
        let bare = Request::new(Body::empty());
        assert!(by_iam(&bare, &client).is_err() && by_invocation(&bare).is_err());
        let other = with(
            "authorizer",
            json!({ "lambda": { "role": "granary-operator" } }),
            &[],
        );
        assert!(by_iam(&other, &client).is_err() && by_jwt(&other, &client, "role").is_err());
    }

    #[test]
    fn an_invocation_is_audited_under_a_name_that_says_it_is_unverified() {
        let request = with("apiId", json!(INVOKED), &[(CALLED, "ada")]);
        let caller = by_invocation(&request).unwrap();
        assert_eq!(caller.name(), "lambda:invoke (ada, unverified)");
        assert_eq!((caller.role(), caller.address()), (Role::Operator, None));
        let request = with("apiId", json!(INVOKED), &[(CALLED, &"x".repeat(200))]);
        assert!(
            by_invocation(&request)
                .unwrap()
                .name()
                .ends_with("x, unverified)")
        );
    }
}
