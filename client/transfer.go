package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// LibraryFile is a file of the live response library.
type LibraryFile struct {
	Name       string     `json:"fileName"`
	SHA256     string     `json:"sha256"`
	About      *string    `json:"description"`
	By         string     `json:"createdBy"`
	Created    *time.Time `json:"creationTime"`
	Updated    *time.Time `json:"lastUpdatedTime"`
	Parameters *string    `json:"parametersDescription"`
}

// LibraryUpload is a file that is put into the library, of at most 20 MB.
type LibraryUpload struct {
	Name        string
	Content     io.Reader
	Description string
	Parameters  string // what its parameters mean; "" for a file that takes none
	Override    bool   // replace the file of the name
}

// UploadLibraryFile puts a file into the live response library.
func (c *Client) UploadLibraryFile(ctx context.Context, u LibraryUpload) (*LibraryFile, error) {
	// The file is small, and a form in memory can tell its length.
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	for _, field := range [][2]string{{"Description", u.Description}, {"ParametersDescription", u.Parameters}, {"OverrideIfExists", strconv.FormatBool(u.Override)}} {
		if err := form.WriteField(field[0], field[1]); err != nil {
			return nil, err
		}
	}
	part, err := form.CreateFormFile("file", u.Name)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(part, u.Content); err != nil {
		return nil, err
	}
	if err := form.Close(); err != nil {
		return nil, err
	}
	token, err := c.Token(ctx)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.profile.APIURL+"/api/libraryfiles", &b)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", form.FormDataContentType())
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 400 {
		return nil, apiError(resp)
	}
	var f LibraryFile
	return &f, json.NewDecoder(resp.Body).Decode(&f)
}

// ResultLink asks for the link to what an action yielded: the investigation package, or of
// a live response the result of the command with the index, counted from 0.
func (c *Client) ResultLink(ctx context.Context, a *Action, index int) (string, error) {
	path := "/api/machineactions/" + url.PathEscape(a.ID) + "/getPackageUri"
	if a.Type == "LiveResponse" {
		path = fmt.Sprintf("/api/machineactions/%s/GetLiveResponseResultDownloadLink(index=%d)", url.PathEscape(a.ID), index)
	}
	var out struct {
		Value string `json:"value"`
	}
	err := c.Do(ctx, http.MethodGet, path, nil, &out)
	// As published, one of the two is a quoted string within the string.
	return strings.Trim(out.Value, `"`), err
}

// Download writes what a link of ResultLink leads to into w. The link is its own
// permission: no token goes with it.
func (c *Client) Download(ctx context.Context, link string, w io.Writer) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return 0, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 400 {
		return 0, apiError(resp)
	}
	return io.Copy(w, resp.Body)
}
