/** The version of SPEKE that is spoken, either way. */
export const SPEKE_VERSION = '2.0';
/** Who we are to the other side. */
export const SPEKE_USER_AGENT = 'headwater';
