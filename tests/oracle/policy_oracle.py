"""Answers policy questions with the real oslo.policy.

Reads one JSON object a line, writes one JSON object a line.

{"rules": {name: rule}, "default_rule": name, "rule": name, "target": {}, "creds": {}}
    -> {"result": bool} or {"error": "<exception class>"}: rules as a policy file holds them
{"service": true, "rule": name, "target": {}, "creds": {}}
    -> the same, for the defaults of the installed freezer_api
{"token": {}}
    -> {"creds": {}}: what a request with this token of Keystone gives oslo.policy in the installed freezer_api
{"defaults": true}
    -> {"defaults": [{"name", "check", "scope_types"}]} of the installed freezer_api
"""

import json
import logging
import sys

from oslo_config import cfg
from oslo_policy import policy


def configuration():
    conf = cfg.ConfigOpts()
    conf([], project='policy-oracle', default_config_files=[], default_config_dirs=[])
    return conf


def load_file_rules(enforcer, question):
    default_rule = question.get('default_rule', 'default')
    enforcer.default_rule = default_rule
    enforcer.set_rules(policy.Rules.from_dict(question['rules'], default_rule))


def service_enforcer(conf):
    from freezer_api.common import policies

    enforcer = policy.Enforcer(conf)
    enforcer.register_defaults(policies.list_rules())
    return enforcer


def credentials(token):
    import webob
    from freezer_api.api.common import middleware
    from keystoneauth1 import access
    from keystonemiddleware.auth_token import _request

    request = _request._AuthTokenRequest.blank('/', headers={'X-Auth-Token': 'secret'})
    request.set_user_headers(access.create(body={'token': token}, auth_token='secret'))
    request.user_token_valid = True
    return middleware.ContextMiddleware(None).get_context(webob.Request(request.environ)).to_dict()


def defaults():
    from freezer_api.common import policies

    return [
        {'name': rule.name, 'check': rule.check_str, 'scope_types': rule.scope_types}
        for rule in policies.list_rules()
    ]


def main():
    logging.disable(logging.CRITICAL)
    conf = configuration()
    files = policy.Enforcer(conf, use_conf=False)
    service = None
    for line in sys.stdin:
        question = json.loads(line)
        if question.get('defaults'):
            answer = {'defaults': defaults()}
        elif 'token' in question:
            answer = {'creds': credentials(question['token'])}
        else:
            try:
                if question.get('service'):
                    service = service or service_enforcer(conf)
                    enforcer = service
                else:
                    load_file_rules(files, question)
                    enforcer = files
                result = enforcer.enforce(question['rule'], question['target'], question['creds'])
                answer = {'result': bool(result)}
            except Exception as error:
                answer = {'error': type(error).__name__}
        sys.stdout.write(json.dumps(answer) + '\n')
    sys.stdout.flush()


if __name__ == '__main__':
    main()
