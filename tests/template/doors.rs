//! What people come in by, and what they leave behind: the API, the logs, the parameters.

use super::Template;
use super::document::{attribute, reference};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// API Gateway gives up then, whatever the function does.
const API_SECS_MAX: u64 = 30;

#[test]
fn every_path_and_method_goes_to_the_operator() {
    let template = Template::read();
    let routes = template.resources_of("AWS::ApiGatewayV2::Route");
    let (guarded, public): (Vec<_>, Vec<_>) = routes
        .iter()
        .partition(|(_, route)| route["AuthorizationType"].is_object());
    let keys = |routes: &[&(&str, &Value)]| -> BTreeSet<String> {
        let keys = routes.iter().map(|(_, route)| &route["RouteKey"]);
        keys.map(|key| key.as_str().unwrap().to_owned()).collect()
    };
    // `{proxy+}` doesn't match the root.
    assert_eq!(
        keys(&guarded),
        BTreeSet::from(["ANY /", "ANY /{proxy+}"].map(str::to_owned))
    );
    for (name, route) in guarded {
        assert_eq!(
            route["AuthorizationType"],
            json!({ "Fn::If": ["ByJwt", "JWT", { "Fn::If": ["ByIam", "AWS_IAM", "NONE"] }] }),
            "{name}"
        );
        assert_eq!(
            route["AuthorizerId"]["Fn::If"][1],
            reference("ApiAuthorizer"),
            "{name}"
        );
    }
    // The operator asks for a token at every route that isn't one of these (`router::open`), whatever the template says.
    assert_eq!(
        keys(&public),
        BTreeSet::from(
            [
                "GET /dashboard",
                "GET /dashboard/",
                "GET /dashboard/{proxy+}",
                "GET /runbook",
                "GET /docs/{proxy+}",
                "GET /docs",
                "GET /openapi.json",
                "GET /health/live",
                "GET /",
                "GET /seed/docs",
            ]
            .map(str::to_owned)
        )
    );
    for (name, _) in public {
        let condition = template.at(&format!("/Resources/{name}/Condition"));
        assert_eq!(condition, "ByJwt", "{name}");
    }
    for (name, route) in &routes {
        assert_eq!(
            route["Target"],
            json!({ "Fn::Sub": "integrations/${ApiIntegration}" }),
            "{name}"
        );
    }
    let integration = template.resource("ApiIntegration");
    assert_eq!(integration["IntegrationType"], "AWS_PROXY");
    assert_eq!(integration["IntegrationUri"], attribute("Operator", "Arn"));
    assert_eq!(integration["PayloadFormatVersion"], "2.0");
    assert_eq!(template.resource("ApiStage")["StageName"], "$default");
    let permission = template.resource("ApiMayInvokeOperator");
    assert_eq!(permission["FunctionName"], reference("Operator"));
    assert_eq!(permission["Principal"], "apigateway.amazonaws.com");
    assert!(template.number(&template.resource("Operator")["Timeout"]) < API_SECS_MAX);
}

#[test]
fn every_function_logs_to_a_group_that_forgets() {
    let template = Template::read();
    for (name, function) in template.functions() {
        let group = function["LoggingConfig"]["LogGroup"]["Ref"].as_str();
        let group = group.unwrap_or_else(|| panic!("{name} logs to a group that Lambda makes, for ever"));
        let group = template.resource(group);
        assert!(template.number(&group["RetentionInDays"]) > 0, "{name}");
        let own_name = function["FunctionName"]["Fn::Sub"]
            .as_str()
            .expect("it has a name");
        let log_name = json!({ "Fn::Sub": format!("/aws/lambda/{own_name}") });
        assert_eq!(group["LogGroupName"], log_name, "{name}");
    }
}

#[test]
fn outside_of_the_emulator_the_api_logs_who_asked_and_from_where() {
    let template = Template::read();
    let settings = &template.resource("ApiStage")["AccessLogSettings"]["Fn::If"];
    assert_eq!(settings[0], "Real");
    assert_eq!(settings[1]["DestinationArn"], attribute("ApiLog", "Arn"));
    let format = settings[1]["Format"].as_str().expect("it has a form");
    let line: serde_json::Value = serde_json::from_str(format).expect("each line is JSON");
    for (field, variable) in [
        ("ip", "$context.identity.sourceIp"),
        ("userAgent", "$context.identity.userAgent"),
        ("status", "$context.status"),
    ] {
        assert_eq!(line[field], variable);
    }
    // A path may have a message's id in it.
    assert!(!format.contains("$context.path"), "{format}");
    assert!(template.number(&template.resource("ApiLog")["RetentionInDays"]) > 0);
}

/// Outside of the emulator secrets are ARNs alone (`parameters.rs`), and `sam deploy --guided` asks for a hidden parameter until it
/// gets a value, so it could not be left empty.
#[test]
fn no_parameter_is_hidden_from_those_who_are_asked_for_it() {
    let template = Template::read();
    for (name, parameter) in template.at("/Parameters").as_object().unwrap() {
        assert!(parameter["NoEcho"].is_null(), "{name}");
    }
}

/// S1: refused by the operator, and before that by the deployment.
#[test]
fn s1_a_production_stack_with_test_data_is_not_deployed() {
    let template = Template::read();
    let rule = template.at("/Rules/NoTestDataInProduction");
    assert_eq!(
        rule["RuleCondition"],
        json!({ "Fn::Equals": [reference("Environment"), "production"] })
    );
    assert_eq!(
        rule["Assertions"][0]["Assert"],
        json!({ "Fn::Equals": [reference("AllowSeeding"), "false"] })
    );
    assert_eq!(template.at("/Parameters/AllowSeeding/Default"), "false");
}
