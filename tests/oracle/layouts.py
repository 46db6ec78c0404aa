"""Makes databases in the layouts that were ever deployed, fills them with awkward rows, and compares after an upgrade.

    layouts.py make URL LAYOUT STATE     makes the tables of LAYOUT (unless they are there) and fills them; writes all rows
                                         to the file STATE
    layouts.py check URL STATE           compares the upgraded database with STATE; prints what is wrong, one line each
    layouts.py orm URL write | read      writes rows of every kind with the reference's own code, or reads them with it

LAYOUT is "spec", "migrate1" to "migrate3", "migrate3-stamped" (which the reference's migrations carried to their head), or an
Alembic revision, which they make from nothing.
"""

import datetime
import json
import os
import re
import sys

import sqlalchemy as sa

HERE = os.path.dirname(os.path.abspath(__file__))
TIME = datetime.datetime(2024, 2, 29, 23, 59, 58)
LARGE = json.dumps({'action': 'backup', 'mode': 'fs', 'backup_name': 'large', 'note': 'é' * 10_000})
RENAMED = {('clients', 'config_id'): 'client_id', ('jobs', 'scheduling'): 'schedule', ('sessions', 'scheduling'): 'schedule',
           ('actions', 'mode'): 'actionmode', ('actions', 'src_file'): 'path_to_backup'}


def entry(action_id, **freezer_action):
    return {'action_id': action_id, 'max_retries': 2, 'freezer_action': freezer_action}


REGISTERED = {'action': 'backup', 'mode': 'fs', 'backup_name': 'one', 'path_to_backup': '/ä b'}
# The entries of each job, and what is to become of each: a registered id, 'new' for one that is made, None for none.
LISTS = {
    'job-plain': ([entry('a1', **REGISTERED), entry(None, action='restore', path_to_backup='/東京', nested={'x': [1]}),
                   entry('a1', **REGISTERED)], ['a1', 'new', 'a1']),
    'job-inline': ([entry('inline-1', action='exec', command='ls', priority='high'), entry('inline-1', action='exec')],
                   ['inline-1', 'inline-1']),
    'job-odd': (['text', 7, None, entry('', mode='fs'), entry('x' * 40, action='info'), entry(12, action='info'),
                 {'freezer_action': 'no object'}, {}],
                [None, None, None, None, 'new', 'new', None, None]),
    'job-differs': ([entry('a1', **{**REGISTERED, 'backup_name': 'other'})], ['a1']),
    'job-deleted-action': ([entry('a-deleted', action='backup')], ['a-deleted']),
    'job-foreign-action': ([entry('a-foreign', action='backup')], ['a-foreign']),
}
TEXTS = {'job-malformed': '[{"action_id": "a1", ', 'job-object': '{"0": {}}', 'job-null': None, 'job-json-null': 'null',
         'job-empty': '[]', 'job-blank': ''}


def rows(columns):
    """The rows to fill in: table, row. Columns that a layout does not have are left out by the caller."""
    common = {'created_at': TIME, 'updated_at': None, 'deleted': False, 'user_id': 'u' * 32, 'project_id': 'p1'}
    gone = {'deleted': True, 'deleted_at': TIME}
    long_host = columns['clients']['hostname'].type.length > 128

    def client(uuid, name, **more):
        return 'clients', {**common, 'id': uuid, 'uuid': uuid, 'client_id': name, 'config_id': name, 'hostname': 'node-1',
                           **more}

    yield client('c1', 'node1', description='Zürich 東京 \' " \\ %')
    yield client('c2', 'node1', description=None)
    yield client('c3', 'Node1', hostname=('h' * 200 if long_host else 'h' * 128))
    yield client('c4', 'gone', **gone)
    yield client('c5', 'node1 ', project_id='P1')

    def action(id, metadata, **more):
        return 'actions', {**common, 'id': id, 'action': 'backup', 'mode': 'fs', 'actionmode': 'fs', 'backup_name': 'one',
                           'src_file': '/ä b', 'path_to_backup': '/ä b', 'max_retries': 5, 'max_retries_interval': 6,
                           'timeout': -2147483648, 'mandatory': False, 'backup_metadata': metadata, **more}

    yield action('a1', json.dumps(REGISTERED))
    yield action('a2', LARGE)
    yield action('a3', '{"action": ')
    yield action('a4', None, backup_name=None, timeout=None, mandatory=None)
    yield action('a-deleted', '{}', **gone)
    yield action('a-foreign', '{}', project_id='p2')

    def session(id, **more):
        document = more.pop('schedule', '{}')
        return 'sessions', {**common, 'id': id, 'session_tag': 0, 'hold_off': 30, 'schedule': document, 'scheduling': document,
                            'job': '{}', 'time_start': -1, 'time_end': -1, 'time_started': -1, 'time_ended': -1, **more}

    yield session('s1', schedule='{"schedule_interval": "1 days"}', job='{"job-plain": {"result": "é"}}', description='ß')
    yield session('s2', schedule=None, job=None, description=None, status=None, session_tag=None)
    yield session('s3', schedule='not json', status='completed', result='fail', **gone)

    def job(id, actions, **more):
        schedule = more.pop('schedule', '{"status": "scheduled", "event": "", "note": "日本"}')
        return 'jobs', {**common, 'id': id, 'client_id': 'node1', 'session_id': '', 'session_tag': 0, 'schedule': schedule,
                        'scheduling': schedule, 'job_actions': actions, **more}

    for id, (entries, _) in LISTS.items():
        yield job(id, json.dumps(entries))
    for id, text in TEXTS.items():
        yield job(id, text, schedule=None if id == 'job-null' else '{}')
    yield job('job-gone', json.dumps([entry('a2', action='backup')]), session_id='s1', **gone)

    def backup(id, metadata, **more):
        return 'backups', {**common, 'id': id, 'user_id': 'U' * 64, 'user_name': 'Ünal', 'client_id': 'node1', 'job_id': 'job-plain',
                           'backup_metadata': metadata, 'status': 'available', **more}

    yield backup('b1', '{"backup_name": "one", "container": "/日本", "hostname": "node-1"}')
    yield backup('b2', LARGE, user_name='')
    yield backup('b3', '{"backup_name"')
    yield backup('b4', '{"client_id": "node2"}')
    yield backup('b5', None, **gone)
    if 'user_credentials' in columns:
        yield 'user_credentials', {**common, 'id': 'uc1', 'trust_id': 'T', 'trustor_user_id': 'u1', 'job_id': 'job-plain'}
    if 'action_reports' in columns:
        yield 'action_reports', {**common, 'id': 'r1', 'result': 'ok', 'time_elapsed': '1', 'log': b'\x00\xff', 'report_date': TIME}
    if 'job_actions' in columns:
        yield 'job_actions', {**common, 'id': 'ja1', 'job_id': 'job-plain', 'action_id': 'a1', 'position': 0}
        yield 'job_actions', {**common, 'id': 'ja2', 'job_id': 'job-plain', 'action_id': 'a2', 'position': 1}


def reflect(engine):
    meta = sa.MetaData()
    meta.reflect(engine)
    return meta.tables


def run_file(connection, name):
    dialect = connection.dialect.name
    words = {'options': ' ENGINE=InnoDB DEFAULT CHARSET=utf8' if dialect == 'mysql' else '',
             'datetime': 'TIMESTAMP' if dialect == 'postgresql' else 'DATETIME',
             'blob': 'BYTEA' if dialect == 'postgresql' else 'BLOB'}
    with open(os.path.join(HERE, '..', 'fixtures', name), encoding='utf-8') as file:
        text = re.sub(r'^--.*\n', '', file.read(), flags=re.MULTILINE)
    for word, value in words.items():
        text = text.replace('{%s}' % word, value)
    for statement in text.split(';\n'):
        if statement.strip():
            connection.exec_driver_sql(statement)


def make_tables(engine, url, layout):
    if layout == 'spec':
        with engine.begin() as connection:
            run_file(connection, 'spec_layout.sql')
    elif layout.startswith('migrate'):
        make_migrate_tables(engine, int(layout[7]))
        if layout.endswith('-stamped'):
            if engine.dialect.name == 'mysql':
                # The reference's job_actions takes the database's character set and refers to jobs, which have theirs.
                with engine.begin() as connection:
                    connection.exec_driver_sql('ALTER DATABASE CHARACTER SET utf8')
            alembic(url, 'stamp', '1333cef214d9')
            with engine.begin() as connection:
                # What the reference's second revision would do fails on this layout, so operators stamp it.
                connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'e74c32f034c5'")
            alembic(url, 'upgrade', '7a3b9c1d2e4f')
    elif not sa.inspect(engine).has_table('alembic_version'):
        alembic(url, 'upgrade', layout)


def make_migrate_tables(engine, version):
    mysql = engine.dialect.name == 'mysql'
    change = 'ALTER TABLE actions CHANGE %s %s VARCHAR(255)' if mysql else 'ALTER TABLE actions RENAME COLUMN %s TO %s'
    with engine.begin() as connection:
        run_file(connection, 'migrate_layout.sql')
        if version >= 2 or engine.dialect.name == 'sqlite':
            connection.exec_driver_sql(change % ('mode', 'actionmode'))
        if version >= 3:
            connection.exec_driver_sql(change % ('src_file', 'path_to_backup'))
        connection.exec_driver_sql('UPDATE migrate_version SET version = %d' % version)


def alembic(url, command, revision):
    import freezer_api.db.sqlalchemy as package
    from alembic import command as commands
    from alembic.config import Config
    config = Config(os.path.join(os.path.dirname(package.__file__), 'alembic.ini'))
    config.set_main_option('sqlalchemy.url', url.replace('%', '%%'))
    getattr(commands, command)(config, revision)


def plain(value):
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return int(value) if isinstance(value, bool) else value


def read_all(engine):
    with engine.connect() as connection:
        return {name: [{key: plain(value) for key, value in row._mapping.items()}
                       for row in connection.execute(sa.select(table))]
                for name, table in reflect(engine).items()}


def make(url, layout, state):
    engine = sa.create_engine(url)
    make_tables(engine, url, layout)
    tables = reflect(engine)
    columns = {name: table.columns for name, table in tables.items()}
    with engine.begin() as connection:
        for name, row in list(rows(columns)):
            here = {key: value for key, value in row.items() if key in columns[name]}
            connection.execute(tables[name].insert().values(**here))
    ours = ['clients', 'actions', 'sessions', 'jobs', 'backups', 'user_credentials', 'action_reports', 'job_actions']
    before = {name: rows for name, rows in read_all(engine).items() if name in ours}
    with open(state, 'w', encoding='utf-8') as file:
        json.dump({**before, 'lists': [] if 'job_actions' in before else lists()}, file)


def lists():
    """Each job's entries that become actions: the entry and the action's id, which is 'new' for one that is made."""
    return [{'job_id': job_id, 'entries': [{'entry': item, 'action_id': fate} for item, fate in zip(entries, fates) if fate]}
            for job_id, (entries, fates) in LISTS.items()]


def check(url, state):
    with open(state, encoding='utf-8') as file:
        before = json.load(file)
    del before['lists']
    after = read_all(sa.create_engine(url))
    kept = {(row['table_name'], row['row_id'], row['column_name'], row['position']): row['value']
            for row in after['freezer_api_leftovers']}
    wrong = []
    for table, old_rows in before.items():
        new_rows = {row['id']: row for row in after[table]}
        for old in old_rows:
            new = new_rows.get(old['id'])
            if new is None:
                wrong.append(f'{table} {old["id"]} is gone')
                continue
            for column, value in old.items():
                problem = compare(table, old, new, column, value, kept)
                if problem:
                    wrong.append(f'{table} {old["id"]}, {column}: {problem}')
    if 'job_actions' not in before:
        wrong.extend(check_lists(before, after, kept))
    return wrong


def compare(table, old, new, column, value, kept):
    leftover = kept.get((table, old['id'], column, -1))
    column = RENAMED.get((table, column), column)
    if (table, column) == ('jobs', 'job_actions'):
        return None
    if (table, column) in (('backups', 'user_name'), ('backups', 'client_id')):
        found = not value or leftover == value or json.loads(new['backup_metadata'])[column] == value
        return None if found else f'{value!r} is neither kept nor in the metadata'
    if (table, column) == ('backups', 'backup_metadata'):
        return compare_metadata(old, value, new[column])
    return None if new[column] == value else f'{value!r} became {new[column]!r}'


def compare_metadata(row, old, new):
    joined = {key: row[key] for key in ('client_id', 'user_name') if row.get(key)}
    if 'client_id' in joined:
        joined['job_id'] = row['job_id']
    if not joined:
        return None if new == old else f'{old!r} became {new!r}'
    try:
        wanted = {**joined, **json.loads(old or '{}')}
    except ValueError:
        return None if new == old else 'malformed JSON has changed'
    return None if json.loads(new) == wanted else f'{old!r} became {new!r}'


def check_lists(before, after, kept):
    known = {row['id'] for row in before['actions']}
    actions = {row['id']: row for row in after['actions']}
    for job in before['jobs']:
        links = sorted((row for row in after['job_actions'] if row['job_id'] == job['id']), key=lambda row: row['position'])
        if job['id'] in TEXTS:
            text = TEXTS[job['id']]
            whole = kept.get(('jobs', job['id'], 'job_actions', -1))
            if links:
                yield f'jobs {job["id"]} has links'
            if job['id'] in ('job-malformed', 'job-object') and whole != text:
                yield f'jobs {job["id"]}: {text!r} is not kept'
            continue
        entries, fates = LISTS.get(job['id'], ([entry('a2', action='backup')], ['a2']))
        if [link['position'] for link in links] != [at for at, fate in enumerate(fates) if fate]:
            yield f'jobs {job["id"]}: positions {[link["position"] for link in links]}'
            continue
        by_position = {link['position']: actions[link['action_id']] for link in links}
        for at, (item, fate) in enumerate(zip(entries, fates)):
            leftover = kept.get(('jobs', job['id'], 'job_actions', at))
            if leftover is not None and json.loads(leftover) != item:
                yield f'jobs {job["id"]}[{at}]: kept as {leftover!r}'
            if fate is None:
                if leftover is None:
                    yield f'jobs {job["id"]}[{at}] is not kept'
                continue
            action = by_position[at]
            if fate != 'new' and action['id'] != fate or fate == 'new' and action['id'] in known:
                yield f'jobs {job["id"]}[{at}] became {action["id"]}'
            stored = json.loads(action['backup_metadata'])
            same = all(stored.get(key) == value for key, value in item['freezer_action'].items())
            if not same and leftover is None:
                yield f'jobs {job["id"]}[{at}] differs from its action and is not kept'
            if fate == 'new' and action['action'] != item['freezer_action']['action']:
                yield f'jobs {job["id"]}[{at}] has the action {action["action"]}'


def orm(url, what):
    from freezer_api.common import config  # noqa: F401 (registers the options)
    from freezer_api.db.sqlalchemy import api
    from oslo_config import cfg
    from oslo_db import options
    options.set_defaults(cfg.CONF, connection=url)
    cfg.CONF([], project='freezer-api', default_config_files=[])
    if what == 'write':
        action = {'freezer_action': {'action': 'backup', 'mode': 'fs', 'backup_name': 'orm', 'note': '東京'}, 'max_retries': 3}
        action_id = api.add_action(user_id='u1', doc=action, project_id='p1')
        api.add_client(user_id='u1', project_id='p1', doc={'client_id': 'orm', 'hostname': 'h', 'description': 'é'})
        job_id = api.add_job(user_id='u1', project_id='p1', doc={
            'client_id': 'orm', 'description': 'd', 'job_schedule': {'status': 'scheduled'},
            'job_actions': [{'action_id': action_id, **action}]})
        session_id = api.add_session(user_id='u1', project_id='p1', doc={
            'description': 's', 'hold_off': 60, 'schedule': {}})
        backup_id = api.add_backup(user_id='u1', project_id='p1', doc={'backup_name': 'orm', 'container': 'c', 'hostname': 'h'})
        print(json.dumps({'action': action_id, 'job': job_id, 'session': session_id, 'backup': backup_id}))
    else:
        print(json.dumps({
            'clients': api.get_client(project_id='p1'), 'actions': api.search_action(project_id='p1'),
            'jobs': api.search_job(project_id='p1'), 'sessions': api.search_session(project_id='p1'),
            'backups': api.search_backup(project_id='p1')}, default=str))


def main(arguments):
    if arguments[0] == 'make':
        make(*arguments[1:])
    elif arguments[0] == 'check':
        wrong = check(*arguments[1:])
        print('\n'.join(wrong))
        sys.exit(bool(wrong))
    else:
        orm(*arguments[1:])


if __name__ == '__main__':
    main(sys.argv[1:])
