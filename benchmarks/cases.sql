-- SPDX-License-Identifier: Apache-2.0
-- Cases of 20 hospitals, one of which has half of them; {cases} stands for how many. Of every hundred
-- one waits, 5 failed, and most others found something.

INSERT INTO tenants (id, name, created_at)
SELECT gen_random_uuid(), 'hospital-' || n, now() FROM generate_series(1, 20) n;

CREATE TEMPORARY TABLE raw AS
SELECT n, gen_random_uuid() AS study_id, gen_random_uuid() AS job_id, hospital.id AS tenant_id,
    timestamptz '2026-08-01 00:00Z' - make_interval(mins => 3 * ({cases} - n)) AS at,
    CASE WHEN n > 0.99 * {cases} THEN 'queued' WHEN n > 0.9899 * {cases} THEN 'running'
        WHEN n % 20 = 0 THEN 'failed' WHEN n % 97 = 0 THEN 'cancelled'
        WHEN n % 499 = 0 THEN 'quarantined' ELSE 'succeeded' END AS state,
    power(random(), 4) AS share,
    '1.2.826.0.1.3680043.8.498.' || (n * 62710561::bigint % 100000000007) AS uid,
    'P' || lpad((n % 60000)::text, 8, '0') AS patient_id,
    'A' || lpad(n::text, 9, '0') AS accession_number
FROM generate_series(1, {cases}) n
JOIN (SELECT id, row_number() OVER (ORDER BY length(name), name) AS place FROM tenants) hospital
    ON hospital.place = CASE n % 2 WHEN 0 THEN 1 ELSE 1 + n % 20 END
ORDER BY n;

INSERT INTO studies (id, tenant_id, study_uid, study_date, patient_id, accession_number, attributes,
    content_sha256, instance_count, size_bytes, created_at)
SELECT study_id, tenant_id, uid, (at - interval '1 day')::date, patient_id, accession_number,
    jsonb_build_object(
        '00080020', jsonb_build_object('vr', 'DA', 'Value', jsonb_build_array('20260102')),
        '00080030', jsonb_build_object('vr', 'TM', 'Value', jsonb_build_array('101112')),
        '00080050', jsonb_build_object('vr', 'SH', 'Value', jsonb_build_array(accession_number)),
        '00081030', jsonb_build_object('vr', 'LO', 'Value', jsonb_build_array('CT Thorax')),
        '00100010', jsonb_build_object('vr', 'PN', 'Value', jsonb_build_array(
            jsonb_build_object('Alphabetic', 'Family' || n % 5000 || '^Given' || n % 300))),
        '00100020', jsonb_build_object('vr', 'LO', 'Value', jsonb_build_array(patient_id)),
        '00100030', jsonb_build_object('vr', 'DA', 'Value', jsonb_build_array('19500102')),
        '00100040', jsonb_build_object('vr', 'CS', 'Value', jsonb_build_array('F')),
        '0020000D', jsonb_build_object('vr', 'UI', 'Value', jsonb_build_array(uid))),
    md5(n::text), 300, 150000000, at
FROM raw;

INSERT INTO series (id, study_id, series_uid, modality, description, kernel, instance_count,
    attributes)
SELECT gen_random_uuid(), study_id, uid || '.' || number, 'CT', 'Lung 1.0', 'B70f', 300 * number,
    jsonb_build_object(
        '00080070', jsonb_build_object('vr', 'LO', 'Value', jsonb_build_array(
            (ARRAY['SIEMENS', 'GE MEDICAL SYSTEMS', 'Philips', 'TOSHIBA'])[1 + n % 4])),
        '00081090', jsonb_build_object('vr', 'LO', 'Value', jsonb_build_array('Model ' || n % 8)))
FROM raw, generate_series(1, 2) number;

INSERT INTO jobs (id, tenant_id, study_id, pipeline, pipeline_version, network, priority, state,
    stage_done, stage_total, fraction, slice_count, attempts, cancel_requested, timings_s,
    error_code, error_message, created_at, queued_at, started_at, finished_at)
SELECT job_id, tenant_id, study_id, 'ct-lesions', '2.0.0',
    CASE n % 5 WHEN 0 THEN 'resnet101@3.0.0' WHEN 1 THEN 'resnet50@2.0.0' ELSE 'resnet50@3.0.0' END,
    CASE n % 10 WHEN 0 THEN 'stat' WHEN 1 THEN 'bulk' ELSE 'routine' END, state,
    0, 0, 0, 300, 1, false,
    '{"reading": 1.01, "lungs": 2.2, "slices": 12.1, "measuring": 1.1, "writing": 1.9}',
    CASE state WHEN 'failed' THEN (ARRAY['not_axial', 'incomplete_series', 'no_ct_series'])[1 + n % 3]
        WHEN 'quarantined' THEN 'worker_lost' END,
    CASE state WHEN 'failed' THEN 'Series 1.2.3: 17.3 mm between instances.' END, at, at,
    CASE WHEN state NOT IN ('queued', 'cancelled') THEN at + interval '1 min' END,
    CASE WHEN state NOT IN ('queued', 'running')
        THEN at + make_interval(secs => 60 + 600 * random()) END
FROM raw;

INSERT INTO reports (id, job_id, tenant_id, study_id, pipeline, pipeline_version, network,
    network_sha256, code_version, thresholds, verdict, grade, review, lesion_share, lesion_ml,
    lung_ml, seconds_per_slice, document, created_at)
SELECT gen_random_uuid(), jobs.id, jobs.tenant_id, jobs.study_id, pipeline, pipeline_version, network,
    repeat('ab', 32), '0.1.0', 'mosmed-2026.1',
    CASE WHEN share < 0.005 THEN 'No finding' WHEN share < 0.25 THEN 'Mild' ELSE 'Alarming' END,
    CASE WHEN share < 0.005 THEN 'CT-0' WHEN share < 0.25 THEN 'CT-1' WHEN share < 0.5 THEN 'CT-2'
        WHEN share < 0.75 THEN 'CT-3' ELSE 'CT-4' END,
    n % 9 = 0, share, share * 4000, 4000, 0.2, '{}', finished_at
FROM jobs JOIN raw ON raw.job_id = jobs.id WHERE jobs.state = 'succeeded';

INSERT INTO batches (id, tenant_id, label, created_at)
SELECT gen_random_uuid(), id, 'Night run ' || n, now() FROM tenants, generate_series(1, 50) n;

INSERT INTO batch_jobs (batch_id, job_id)
SELECT batches.id, job_id FROM raw JOIN batches
    ON batches.tenant_id = raw.tenant_id AND batches.label = 'Night run ' || (1 + n % 50)
WHERE n % 3 = 0;

ANALYZE jobs, studies, series, reports;

INSERT INTO cases SELECT * FROM cases_now;
