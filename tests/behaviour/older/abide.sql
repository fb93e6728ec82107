SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE SCHEMA abide;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE abide.attempt (
    execution bigint NOT NULL,
    activity bigint NOT NULL,
    attempt integer NOT NULL,
    next_at bigint NOT NULL,
    failure text NOT NULL
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000');
CREATE TABLE abide.execution (
    id bigint NOT NULL,
    workflow_id text NOT NULL,
    run_id text NOT NULL,
    request_id text,
    type text NOT NULL,
    queue text NOT NULL,
    status smallint NOT NULL,
    owner bigint,
    wake_at bigint,
    active boolean DEFAULT false NOT NULL,
    crashes integer DEFAULT 0 NOT NULL,
    recovered_from bigint,
    retried_until bigint DEFAULT 0 NOT NULL,
    suspension text,
    tried_builds text[],
    trying_builds text[],
    input text,
    result text,
    created_at bigint NOT NULL,
    closed_at bigint,
    rev bigint DEFAULT 0 NOT NULL
)
WITH (fillfactor='85', autovacuum_vacuum_scale_factor='0.02', autovacuum_analyze_scale_factor='0.02');
CREATE SEQUENCE abide.id_block
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE TABLE abide.inbox (
    id bigint NOT NULL,
    execution bigint NOT NULL,
    kind smallint NOT NULL,
    request_id text NOT NULL,
    body text NOT NULL,
    at bigint NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000');
ALTER TABLE abide.inbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME abide.inbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE abide.journal (
    execution bigint NOT NULL,
    seq bigint NOT NULL,
    n integer NOT NULL,
    at bigint NOT NULL,
    writer bigint NOT NULL,
    body text NOT NULL,
    CONSTRAINT journal_n_check CHECK ((n > 0)),
    CONSTRAINT journal_seq_check CHECK ((seq > 0))
)
WITH (autovacuum_vacuum_insert_scale_factor='0.05', autovacuum_analyze_scale_factor='0.02');
CREATE TABLE abide.lease (
    worker bigint NOT NULL,
    slot smallint NOT NULL,
    lease_until bigint NOT NULL,
    renewed_at bigint NOT NULL,
    server text DEFAULT ''::text NOT NULL
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='500');
CREATE TABLE abide.migration (
    version bigint NOT NULL,
    build text NOT NULL,
    applied_at bigint NOT NULL
);
CREATE TABLE abide.reply (
    request_id text NOT NULL,
    body text NOT NULL,
    expires_at bigint NOT NULL,
    stage smallint DEFAULT 0 NOT NULL
);
CREATE TABLE abide.task (
    execution bigint NOT NULL,
    activity bigint NOT NULL,
    attempt integer NOT NULL,
    queue text,
    name text NOT NULL,
    input text NOT NULL,
    limits text NOT NULL,
    run_at bigint NOT NULL,
    start_by bigint,
    close_by bigint,
    owner bigint,
    cancel boolean DEFAULT false NOT NULL,
    nonce bigint DEFAULT 0 NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000');
CREATE TABLE abide.worker (
    id bigint NOT NULL,
    name text NOT NULL,
    build text NOT NULL,
    queue text NOT NULL,
    types text[] NOT NULL,
    life_key bigint NOT NULL,
    started_at bigint NOT NULL,
    process text DEFAULT ''::text NOT NULL
);
ALTER TABLE abide.worker ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME abide.worker_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
INSERT INTO abide.attempt VALUES (1099511627779, 2, 29, 1795986423236, '{"kind":"application","message":"the service is down"}');
INSERT INTO abide.execution VALUES (1099511627776, 'waits', '01a22921-8c0f-7000-8000-cb8a0d6e8bf4', NULL, 'Journey', 'older', 0, 1, NULL, false, 0, NULL, 0, NULL, NULL, NULL, NULL, NULL, 1795986394127, NULL, 0);
INSERT INTO abide.execution VALUES (1099511627777, 'told-once', '01a22921-8c2e-7000-8000-3df983f20df0', NULL, 'Journey', 'older', 0, 1, NULL, false, 0, NULL, 0, NULL, NULL, NULL, NULL, NULL, 1795986394158, NULL, 0);
INSERT INTO abide.execution VALUES (1099511627780, 'elsewhere', '01a22921-8c44-7000-8000-5315ee412531', NULL, 'Journey', 'older', 0, 1, NULL, false, 0, NULL, 0, NULL, NULL, NULL, NULL, NULL, 1795986394180, NULL, 0);
INSERT INTO abide.execution VALUES (1099511627781, 'slow', '01a22921-8c4d-7000-8000-de97a334b24d', NULL, 'Journey', 'older', 0, 1, NULL, true, 0, NULL, 0, NULL, NULL, NULL, NULL, NULL, 1795986394189, NULL, 0);
INSERT INTO abide.execution VALUES (1099511627782, 'saga', '01a22921-8c4f-7000-8000-9c357695f00a', NULL, 'Journey', 'older', 0, 1, NULL, false, 0, NULL, 0, NULL, NULL, NULL, NULL, NULL, 1795986394191, NULL, 1);
INSERT INTO abide.execution VALUES (1099511627783, 'suspended', '01a22921-8c64-7000-8000-51478dc0f3d4', NULL, 'Journey', 'older', 1, NULL, NULL, false, 0, NULL, 0, '{"code":"AB0202","message":"workflow Journey (suspended, run 01a22921-8c64-7000-8000-51478dc0f3d4) is suspended: its code panicked: a bug. Deploy a fix and resume it; nothing is lost","build":"0.1.0-8a310a0-1a2292184e6","other_builds":true,"at_ms":1795986394212}', '{0.1.0-8a310a0-1a2292184e6}', NULL, NULL, NULL, 1795986394212, NULL, 0);
INSERT INTO abide.execution VALUES (1099511627784, 'completed', '01a22921-8d00-7000-8000-4295efb34a1f', 'start-completed', 'Journey', 'older', 10, NULL, NULL, false, 0, NULL, 0, NULL, NULL, NULL, NULL, '{"completed":{"result":["a","read once 505"]}}', 1795986394368, 1795986394368, 0);
INSERT INTO abide.execution VALUES (1099511627785, 'failed', '01a22921-8d02-7000-8000-2d286704474f', 'start-failed', 'Journey', 'older', 11, NULL, NULL, false, 0, NULL, 0, NULL, NULL, NULL, NULL, '{"failed":{"failure":{"kind":"application","message":"no way","data":{"non_retryable":true}}}}', 1795986394370, 1795986394373, 1);
INSERT INTO abide.execution VALUES (1099511627786, 'cancelled', '01a22921-8d09-7000-8000-bc9f322f97d1', NULL, 'Journey', 'older', 12, NULL, NULL, false, 0, NULL, 0, NULL, NULL, NULL, NULL, '{"canceled":{"reason":"enough"}}', 1795986394377, 1795986394394, 3);
INSERT INTO abide.execution VALUES (1099511627787, 'terminated', '01a22921-8d1c-7000-8000-70a077653754', NULL, 'Journey', 'older', 13, NULL, NULL, false, 0, NULL, 0, NULL, NULL, NULL, NULL, '{"terminated":{"reason":"for good"}}', 1795986394396, 1795986394398, 1);
INSERT INTO abide.execution VALUES (1099511627788, 'early', '01a22921-8d25-7000-8000-af15f73d1a4c', NULL, 'Journey', 'older-later', 0, NULL, 1795986394405, false, 0, NULL, 0, NULL, NULL, NULL, '[["a","wait"]]', NULL, 1795986394405, NULL, 0);
INSERT INTO abide.execution VALUES (1099511627778, 'sleeps', '01a22921-8c32-7000-8000-14019e24ee1d', NULL, 'Journey', 'older', 10, NULL, NULL, false, 0, NULL, 0, NULL, NULL, NULL, NULL, '{"completed":{"result":["<booking>","slept","b"]}}', 1795986394162, 1795986395665, 2);
INSERT INTO abide.execution VALUES (1099511627779, 'retries', '01a22921-8c41-7000-8000-2aa44f246f27', NULL, 'Journey', 'older', 0, 1, 1795986423236, false, 0, NULL, 1795986422234, NULL, NULL, NULL, NULL, NULL, 1795986394177, NULL, 57);
INSERT INTO abide.inbox OVERRIDING SYSTEM VALUE VALUES (2, 1099511627788, 0, '01a22921-8d2f-7228-9373-c694d9d33a83', '{"name":"tell","input":[7]}', 1795986394418);
INSERT INTO abide.inbox OVERRIDING SYSTEM VALUE VALUES (3, 1099511627788, 0, '01a22921-8d32-76f8-b8c6-e79077d1f3ac', '{"name":"tell","input":[8]}', 1795986394419);
INSERT INTO abide.journal VALUES (1099511627776, 1, 2, 1795986394127, 1, '[{"started":{"input":[["a","random","wait","b"]],"seed":9581862389025285514,"rules":2}},{"side_effect":{"value":"read once"}}]');
INSERT INTO abide.journal VALUES (1099511627777, 1, 1, 1795986394158, 1, '[{"started":{"input":[["wait","random","wait"]],"seed":11628362381940440322,"rules":2}}]');
INSERT INTO abide.journal VALUES (1099511627777, 2, 2, 1795986394161, 1, '[{"signaled":{"name":"tell","input":[1],"request_id":"told-1"}},{"side_effect":{"value":"read once"}}]');
INSERT INTO abide.journal VALUES (1099511627778, 1, 2, 1795986394163, 1, '[{"started":{"input":[["book","sleep","b"]],"seed":12917190156218630591,"rules":2}},{"activity_scheduled":{"name":"Depot.fetch","input":["booking"]}}]');
INSERT INTO abide.journal VALUES (1099511627778, 3, 2, 1795986394165, 1, '[{"activity_completed":{"activity":2,"result":"<booking>"}},{"timer_started":{"fire_at_ms":1795986395665}}]');
INSERT INTO abide.journal VALUES (1099511627779, 1, 2, 1795986394177, 1, '[{"started":{"input":[["a","far","b"]],"seed":11677036299701973944,"rules":2}},{"activity_scheduled":{"name":"Depot.fetch","input":["far"]}}]');
INSERT INTO abide.journal VALUES (1099511627780, 1, 2, 1795986394180, 1, '[{"started":{"input":[["a","elsewhere","b"]],"seed":9610772962087681113,"rules":2}},{"activity_scheduled":{"name":"Depot.elsewhere","input":["over there"],"task_queue":"older-elsewhere"}}]');
INSERT INTO abide.journal VALUES (1099511627781, 1, 3, 1795986394190, 1, '[{"started":{"input":[["random","slow","b"]],"seed":13691187614605372664,"rules":2}},{"side_effect":{"value":"read once"}},{"activity_scheduled":{"name":"Depot.slow","input":["long"]}}]');
INSERT INTO abide.journal VALUES (1099511627782, 1, 2, 1795986394192, 1, '[{"started":{"input":[["book","wait","fail"]],"seed":9954252834230066746,"rules":2}},{"activity_scheduled":{"name":"Depot.fetch","input":["booking"]}}]');
INSERT INTO abide.journal VALUES (1099511627782, 3, 1, 1795986394193, 1, '[{"activity_completed":{"activity":2,"result":"<booking>"}}]');
INSERT INTO abide.journal VALUES (1099511627783, 1, 1, 1795986394212, 1, '[{"started":{"input":[["a","bug","b"]],"seed":9757419439403385934,"rules":2}}]');
INSERT INTO abide.journal VALUES (1099511627784, 1, 3, 1795986394368, 1, '[{"started":{"input":[["a","random"]],"seed":12341581264206442464,"rules":2}},{"side_effect":{"value":"read once"}},{"completed":{"result":["a","read once 505"]}}]');
INSERT INTO abide.journal VALUES (1099511627785, 1, 2, 1795986394371, 1, '[{"started":{"input":[["book","fail"]],"seed":10868642930884580849,"rules":2}},{"activity_scheduled":{"name":"Depot.fetch","input":["booking"]}}]');
INSERT INTO abide.journal VALUES (1099511627785, 3, 2, 1795986394372, 1, '[{"activity_completed":{"activity":2,"result":"<booking>"}},{"activity_scheduled":{"name":"Depot.undo","input":["booking"]}}]');
INSERT INTO abide.journal VALUES (1099511627785, 5, 2, 1795986394373, 1, '[{"activity_completed":{"activity":4,"result":null}},{"failed":{"failure":{"kind":"application","message":"no way","data":{"non_retryable":true}}}}]');
INSERT INTO abide.journal VALUES (1099511627786, 1, 2, 1795986394378, 1, '[{"started":{"input":[["book","wait"]],"seed":13562797676125414462,"rules":2}},{"activity_scheduled":{"name":"Depot.fetch","input":["booking"]}}]');
INSERT INTO abide.journal VALUES (1099511627786, 3, 1, 1795986394379, 1, '[{"activity_completed":{"activity":2,"result":"<booking>"}}]');
INSERT INTO abide.journal VALUES (1099511627786, 4, 2, 1795986394391, 1, '[{"cancel_requested":{"request_id":"01a22921-8d18-7736-aef4-3894d0aa1376","reason":"enough"}},{"activity_scheduled":{"name":"Depot.undo","input":["booking"]}}]');
INSERT INTO abide.journal VALUES (1099511627786, 6, 2, 1795986394394, 1, '[{"activity_completed":{"activity":5,"result":null}},{"canceled":{"reason":"enough"}}]');
INSERT INTO abide.journal VALUES (1099511627787, 1, 1, 1795986394396, 1, '[{"started":{"input":[["wait"]],"seed":12364399456840810862,"rules":2}}]');
INSERT INTO abide.journal VALUES (1099511627787, 2, 1, 1795986394398, 0, '[{"terminated":{"reason":"for good"}}]');
INSERT INTO abide.journal VALUES (1099511627778, 5, 2, 1795986395665, 1, '[{"timer_fired":{"timer":4}},{"completed":{"result":["<booking>","slept","b"]}}]');
INSERT INTO abide.lease VALUES (1, 0, 1795986434161, 1795986422161, '1795986393985179/1795986393436548');
INSERT INTO abide.lease VALUES (1, 1, 1795986434161, 1795986422161, '1795986393985179/1795986393436548');
INSERT INTO abide.migration VALUES (1, '0.1.0', 1795986394090);
INSERT INTO abide.migration VALUES (2, '0.1.0', 1795986394095);
INSERT INTO abide.reply VALUES ('terminate:1099511627787:01a22921-8d1e-7502-8d59-3be61138d83d', 'null', 1796072794398, 0);
INSERT INTO abide.task VALUES (1099511627780, 2, 1, 'older-elsewhere', 'Depot.elsewhere', '["over there"]', '{"start_to_close_ms":10000}', 1795986394180, NULL, NULL, NULL, false, 744507012708990);
INSERT INTO abide.worker OVERRIDING SYSTEM VALUE VALUES (1, 'process 1679', '0.1.0-8a310a0-1a2292184e6', 'older', '{Journey}', 4927759102580302741, 1795986394113, 'linux/00000000-0000-4000-8000-000000000000/pid:[4026531836]/time:[4026531834]/1679/2495471');
SELECT pg_catalog.setval('abide.id_block', 1, true);
SELECT pg_catalog.setval('abide.inbox_id_seq', 3, true);
SELECT pg_catalog.setval('abide.worker_id_seq', 1, true);
ALTER TABLE ONLY abide.attempt
    ADD CONSTRAINT attempt_pkey PRIMARY KEY (execution, activity);
ALTER TABLE ONLY abide.execution
    ADD CONSTRAINT execution_pkey PRIMARY KEY (id);
ALTER TABLE ONLY abide.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (id);
ALTER TABLE ONLY abide.journal
    ADD CONSTRAINT journal_pkey PRIMARY KEY (execution, seq);
ALTER TABLE ONLY abide.lease
    ADD CONSTRAINT lease_pkey PRIMARY KEY (worker, slot);
ALTER TABLE ONLY abide.migration
    ADD CONSTRAINT migration_pkey PRIMARY KEY (version);
ALTER TABLE ONLY abide.reply
    ADD CONSTRAINT reply_pkey PRIMARY KEY (request_id);
ALTER TABLE ONLY abide.task
    ADD CONSTRAINT task_pkey PRIMARY KEY (execution, activity);
ALTER TABLE ONLY abide.worker
    ADD CONSTRAINT worker_pkey PRIMARY KEY (id);
CREATE INDEX execution_due ON abide.execution USING btree (queue, wake_at) WHERE ((owner IS NULL) AND (status = 0) AND (wake_at IS NOT NULL));
CREATE UNIQUE INDEX execution_open ON abide.execution USING btree (workflow_id) WHERE (status < 10);
CREATE INDEX execution_owner ON abide.execution USING btree (owner) WHERE (owner IS NOT NULL);
CREATE UNIQUE INDEX execution_request_id ON abide.execution USING btree (request_id) WHERE (request_id IS NOT NULL);
CREATE INDEX execution_retryable ON abide.execution USING btree (queue) WHERE ((status < 2) AND (tried_builds IS NOT NULL));
CREATE UNIQUE INDEX execution_run_id ON abide.execution USING btree (run_id);
CREATE INDEX execution_suspect ON abide.execution USING btree (queue, crashes) WHERE ((owner IS NULL) AND (status = 0) AND (crashes >= 2));
CREATE INDEX execution_workflow ON abide.execution USING btree (workflow_id);
CREATE UNIQUE INDEX inbox_kind_request ON abide.inbox USING btree (execution, kind, request_id);
CREATE INDEX reply_expiry ON abide.reply USING btree (expires_at);
CREATE INDEX task_close_by ON abide.task USING btree (close_by) WHERE ((queue IS NOT NULL) AND (close_by IS NOT NULL));
CREATE INDEX task_due ON abide.task USING btree (queue, run_at) WHERE ((owner IS NULL) AND (queue IS NOT NULL));
CREATE INDEX task_owner ON abide.task USING btree (owner) WHERE (owner IS NOT NULL);
CREATE INDEX task_start_by ON abide.task USING btree (start_by) WHERE ((owner IS NULL) AND (queue IS NOT NULL) AND (start_by IS NOT NULL));
CREATE INDEX task_stopped ON abide.task USING btree (execution) WHERE ((owner IS NULL) AND (queue IS NOT NULL) AND cancel);
