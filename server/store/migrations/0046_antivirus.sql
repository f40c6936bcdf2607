-- What the antivirus scans of a device came to, kept as its actions end: the columns that
-- lists filter by, folded, and the whole as a document.
ALTER TABLE device ADD COLUMN quick_result TEXT;
ALTER TABLE device ADD COLUMN quick_error TEXT;
ALTER TABLE device ADD COLUMN full_result TEXT;
ALTER TABLE device ADD COLUMN full_error TEXT;
ALTER TABLE device ADD COLUMN av_engine TEXT;
ALTER TABLE device ADD COLUMN av_signature TEXT;
ALTER TABLE device ADD COLUMN av TEXT NOT NULL DEFAULT '';
