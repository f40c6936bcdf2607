/** The sign of the product. */
export function Mark({ size = 24 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <path d="M16 3l11 4v8.500c0 6.600-4.400 11.500-11 13.500C9.400 27 5 22.100 5 15.500V7z" fill="none" stroke="currentColor" strokeWidth="2.400" strokeLinejoin="round" />
      <circle cx="16" cy="15" r="4" fill="currentColor" />
    </svg>
  );
}
